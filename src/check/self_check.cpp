#include "check/self_check.h"

#include "check/compare.h"
#include "check/gradient_check.h"
#include "check/oracle_fixture.h"
#include "check/tiny_model.h"
#include "core/rng.h"
#include "mixers/sinkhorn.h"

namespace plumb {
namespace {

constexpr double kFloatEps = std::numeric_limits<float>::epsilon();

// Limits. Those of rounding are multiples of epsilon with room for the sums behind them: M v = read
// adds up to L+1 products of up to 3 L factors; a float gradient has a few hundred roundings, and
// sums of mixed sign lose a digit more.
constexpr double kGradientLimit = 1e-7, kMatrixLimit = 1e-13, kIdentityLimit = 1e-11,
                 kOracleLimit = 1e-12, kFloatLimit = 1e3 * kFloatEps;

class Checker {
public:
    Checker(const MixerInfo& mixer, const CheckOptions& options)
        : mixer_(mixer), options_(options) {}

    std::vector<CheckLine> run() {
        for (const auto& settings : mixer_.test_settings) {
            setting_ = settings.empty() ? "default" : fmt::format("{}", fmt::join(settings, " "));
            config_ = mixer_config(mixer_.name, settings);
            if (options_.device == Device::cpu)
                check_alone();
            else
                check_on_device();
            check_in_model(starts_as_standard(mixer_, config_));
        }
        if (mixer_.name == "mhc" && options_.device == Device::cpu) check_sinkhorn();
        check_oracle();
        return std::move(lines_);
    }

private:
    // f(line) returns the value and may set the note.
    template <class F>
    void line(const std::string& name, double limit, F&& f) {
        options_.progress(fmt::format("{} {}: {}", mixer_.name, setting_, name));
        CheckLine& l = lines_.emplace_back();
        l.mixer = mixer_.name, l.setting = setting_, l.name = name, l.limit = limit;
        try {
            l.value = f(l);
            l.status = judge(l.value, limit);
        } catch (const std::exception& e) {
            l.note = e.what();
        }
    }

    // The mixer by itself: L=5, N=3, C=7, parameters away from their initial values.
    void check_alone() {
        line("gradients", kGradientLimit, [&](CheckLine& l) {
            ToyStack<double> stack(make_mixer<double>(config_, {5, 3, 6, 1e-6}));
            perturb(stack.params(), 0.3, 2);
            const GradientError error = check_gradients(stack);
            l.note = fmt::format("worst: {}, {} derivatives", error.where, error.n_checked);
            return error.worst;
        });
        line("M v = read", kMatrixLimit, [&](CheckLine&) {
            ToyStack<double> stack(make_mixer<double>(config_, {5, 3, 6, 1e-6}));
            perturb(stack.params(), 0.3, 2);
            stack.forward({});
            return matrix_error(stack);
        });
    }

    // In a model of L=4, N=20, C=12, which the CPU computes too.
    void check_on_device() {
        const Device device = options_.device;
        line("gradients", kGradientLimit, [&](CheckLine& l) {
            const auto model = tiny_model<double>(config_, 1, tiny_config(), device);
            perturb(model->params(), 0.2, 2);
            const GradientError error = check_gradients(*model);
            l.note = fmt::format("worst: {}, {} directions", error.where, error.n_checked);
            return error.worst;
        });
        line("M v = read", kMatrixLimit,
             [&](CheckLine&) { return model_matrix_error(config_, device); });
        line("device - CPU", kIdentityLimit,
             [&](CheckLine&) { return device_error(config_, device); });
    }

    void check_in_model(bool equals_standard) {
        const Device device = options_.device;
        line("causality", 0, [&](CheckLine&) { return causality_error(config_, device); });
        if (equals_standard)
            line("standard at init", kIdentityLimit,
                 [&](CheckLine&) { return difference_to_standard(config_, device); });
        line("float - double", kFloatLimit,
             [&](CheckLine&) { return float_error(config_, device); });
        line("bf16 - double", kBf16Limit, [&](CheckLine&) { return bf16_error(config_, device); });
        line("never moved", 0, [&](CheckLine& l) {
            const std::vector<std::string> names = unmoved_parameters(config_, 3, device);
            l.note = fmt::format("{}", fmt::join(names, " "));
            return static_cast<double>(names.size());
        });
    }

    void check_sinkhorn() {
        setting_ = "4 streams, 20 iterations";
        // The last pass divides columns by their sum + 1e-6; rows are as good as the convergence.
        line("R: columns", 2e-6, [](CheckLine&) { return sinkhorn_marginals(4, 20, 1).columns; });
        line("R: rows, std 1", 1e-3, [](CheckLine&) { return sinkhorn_marginals(4, 20, 1).rows; });
        line("R: rows, std 5", 0.1, [](CheckLine&) { return sinkhorn_marginals(4, 20, 5).rows; });
    }

    void check_oracle() {
        std::size_t n_found = 0;
        for (const auto& path : fixture_paths(options_.fixtures)) {
            const SafetensorsFile file = SafetensorsFile::open(path);
            if (fixture_shape(file).mixer.name != mixer_.name) continue;
            ++n_found;
            setting_ = path.stem().string();
            line("PyTorch float64", kOracleLimit, [&](CheckLine& l) {
                const OracleErrors e = oracle_errors<double>(file, options_.device);
                l.note = fmt::format("loss {:.1e}, M {:.1e}, gradients {:.1e}", e.loss, e.matrix,
                                     e.gradient);
                return worse(worse(e.loss, e.matrix), e.gradient);
            });
        }
        if (n_found > 0) return;
        CheckLine& l = lines_.emplace_back();
        l.mixer = mixer_.name, l.setting = "-", l.name = "PyTorch float64", l.limit = kOracleLimit;
        l.status = CheckLine::Status::skipped;
        l.note = "no fixtures: type plumb check --fixtures DIR, the source tree's tests/fixtures";
    }

    const MixerInfo& mixer_;
    const CheckOptions& options_;
    MixerConfig config_;
    std::string setting_;
    std::vector<CheckLine> lines_;
};

}  // namespace

std::vector<CheckLine> self_check(const MixerInfo& mixer, const CheckOptions& options) {
    return Checker(mixer, options).run();
}

MarginalErrors sinkhorn_marginals(int k, int iters, double logit_std) {
    const CounterRng rng(1, "sinkhorn");
    MarginalErrors worst{0, 0};
    std::array<double, kMaxSinkhornSize * kMaxSinkhornSize> p{};
    for (std::uint64_t sample = 0; sample < 1000; ++sample) {
        for (std::size_t i = 0; i < p.size(); ++i)
            p[i] = logit_std * rng.normal(sample * p.size() + i);
        sinkhorn(k, iters, p.data());
        for (int i = 0; i < k; ++i) {
            double row = 0, column = 0;
            for (int j = 0; j < k; ++j) {
                row += p[static_cast<std::size_t>(i * k + j)];
                column += p[static_cast<std::size_t>(j * k + i)];
            }
            worst.rows = worse(worst.rows, std::abs(row - 1));
            worst.columns = worse(worst.columns, std::abs(column - 1));
        }
    }
    return worst;
}

}  // namespace plumb
