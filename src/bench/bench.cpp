#include "bench/bench.h"

#include "core/clock.h"
#include "core/memory_use.h"
#include "train/trainer.h"

#include <algorithm>
#include <numeric>

namespace plumb {

// ---- arithmetic --------------------------------------------------------------------------------

Spread spread(std::vector<double> values) {
    require(!values.empty(), "spread of no values");
    std::sort(values.begin(), values.end());
    const auto quantile = [&](double q) {
        const double at = q * static_cast<double>(values.size() - 1);
        const auto below = static_cast<std::size_t>(at);
        const std::size_t above = std::min(below + 1, values.size() - 1);
        return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
    };
    return {quantile(0.5), quantile(0.25), quantile(0.75)};
}

double StepParts::rest() const {
    return total - std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

// ---- one model ---------------------------------------------------------------------------------

namespace {

Trainer make_trainer(const Config& config, const Dataset& data, const Context& ctx) {
    return {TransformerShape{config.model, config.mixer, data.vocab(), config.train.batch,
                             ctx.threads, 0, ctx.device},
            config.train, data};
}

class Racer {
public:
    Racer(const Config& config, const Dataset& data, const Context& ctx)
        : ctx_(ctx), trainer_(make_trainer(config, data, ctx)) {
        trainer_.allocate();
        constexpr int kWarmUp = 2;
        for (int i = 0; i < kWarmUp; ++i) seconds_of_step();
    }

    // Median of n steps, timed without a profile.
    double median_step(int n) {
        std::vector<double> seconds;
        for (int i = 0; i < n; ++i) seconds.push_back(seconds_of_step());
        return spread(seconds).median;
    }

    // The one of median duration of n profiled steps.
    StepParts profiled_step(int n) {
        std::vector<StepParts> steps;
        for (int i = 0; i < n; ++i) {
            Profile profile;
            ctx_.profile = &profile;
            const double total = seconds_of_step();
            ctx_.profile = nullptr;
            steps.push_back({profile.seconds, total});
        }
        std::sort(steps.begin(), steps.end(),
                  [](const StepParts& a, const StepParts& b) { return a.total < b.total; });
        return steps[steps.size() / 2];
    }

    // Bytes the mixer says it moved: in a step, and in one forward of a micro-batch.
    double moved_by_step() {
        return moved_by([this] { seconds_of_step(); });
    }
    double moved_by_forward() {
        return moved_by([this] { trainer_.model().forward(ctx_); });
    }

    const Trainer& trainer() const { return trainer_; }

private:
    double seconds_of_step() {
        return seconds_of([this] { trainer_.step(ctx_, step_++); });
    }
    template <class F>
    double moved_by(F&& work) {
        Profile profile;
        ctx_.profile = &profile;
        work();
        ctx_.profile = nullptr;
        return profile.mixer_bytes;
    }

    Context ctx_;
    Trainer trainer_;
    long step_ = 0;
};

// Baseline, other, between(round), baseline, ...: a step of the other against the mean of the
// baseline's before and after it, so that a drift of the machine cancels. `own`: its seconds.
template <class Between>
std::vector<double> alternate(Racer& baseline, Racer& other, const BenchOptions& options,
                              std::vector<double>& own, Between&& between) {
    std::vector<double> ratios;
    double before = baseline.median_step(options.steps);
    for (int r = 0; r < options.rounds; ++r) {
        own.push_back(other.median_step(options.steps));
        between(r);
        const double after = baseline.median_step(options.steps);
        ratios.push_back(2 * own.back() / (before + after));
        before = after;
    }
    return ratios;
}

// ---- one mixer against the baseline ------------------------------------------------------------

void count_bytes(Racer& racer, MixerBench& row, const Config& config, double item) {
    const Model<float>& model = racer.trainer().model();
    const auto numbers = static_cast<double>(config.train.batch * model.config().context) *
                         static_cast<double>(model.config().sublayers() * model.config().width);
    row.moved_bytes = racer.moved_by_step();
    row.moved_step =
        row.moved_bytes / (numbers * item * static_cast<double>(config.train.accumulate));
    row.moved_forward = racer.moved_by_forward() / (numbers * item);
    row.paper_forward = paper_moved(config.mixer, model.config().sublayers(), model.config().width);
}

struct Race {
    const BenchOptions& options;
    const ShapeBench& shape;
    const Dataset& data;
    Racer& baseline;
    Index gemm_tokens;   // of a micro-batch
    double done, share;  // of the whole work: before this race, and its own

    void progress(double fraction, const std::string& what) const {
        if (options.progress) options.progress(done + share * fraction, what);
    }
    void rounds(Racer& racer, MixerBench& row) const {
        constexpr int kGemmRepeats = 3;
        const ModelConfig& model = racer.trainer().model().config();
        std::vector<double> own, rates;
        row.ratios = alternate(baseline, racer, options, own, [&](int r) {
            progress(0.1 + 0.8 * r / options.rounds,
                     fmt::format("{} {}: {}, round {} of {}", shape.shape.name, shape.precision,
                                 row.mixer.label, r + 1, options.rounds));
            rates.push_back(gemm_rate(measure_gemms(options.context, model, shape.shape.vocab,
                                                    gemm_tokens, shape.precision, kGemmRepeats)));
        });
        row.step = spread(own);
        row.gemm_rate = spread(rates).median;
        row.overhead = spread(row.ratios);
        for (double* x : {&row.overhead.median, &row.overhead.low, &row.overhead.high}) *x -= 1;
    }
    MixerBench run(const BenchMixer& mixer, const Config& config) const;
};

MixerBench Race::run(const BenchMixer& mixer, const Config& config) const {
    MixerBench row;
    row.mixer = mixer;
    progress(0, fmt::format("{} {}: {}", shape.shape.name, shape.precision, mixer.label));
    reset_peak_memory();
    const auto before = memory_use();
    Racer racer(config, data, options.context);
    if (const auto after = memory_use(); after && options.context.device == Device::cpu)
        row.peak_bytes = after->peak - before->now;
    rounds(racer, row);
    constexpr int kProfiled = 3;
    row.parts = racer.profiled_step(std::max(kProfiled, options.rounds / 2));
    count_bytes(racer, row, config, shape.precision == "bf16" ? sizeof(Bf16) : sizeof(float));
    row.tokens_per_s = static_cast<double>(shape.tokens) / row.step.median;
    row.gemm_share = shape.flops_per_token * row.tokens_per_s / row.gemm_rate;
    row.planned_bytes = racer.trainer().planned_bytes();
    row.params = racer.trainer().model().params().n_params();
    row.mixer_params = racer.trainer().model().params().n_params(Group::mixer);
    return row;
}

}  // namespace

StepRace race_steps(const Config& baseline, const Config& other, const Dataset& data,
                    const BenchOptions& options) {
    set_up_threads(options.context);
    Racer base(baseline, data, options.context), own(other, data, options.context);
    StepRace out;
    std::vector<double> seconds;
    out.ratios = alternate(base, own, options, seconds, [&](int r) {
        if (options.progress) options.progress(static_cast<double>(r) / options.rounds, "");
    });
    out.step = spread(seconds);
    return out;
}

ShapeBench bench_shape(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                       const std::vector<std::string>& overrides, const BenchOptions& options) {
    check_bench_overrides(mixers, overrides);
    std::vector<std::string> settings = overrides;
    if (options.precision != "fp32") settings.push_back("train.precision=" + options.precision);
    std::vector<Config> configs;
    for (const BenchMixer& m : mixers) configs.push_back(bench_config(shape, m, settings));
    const Config& base = configs.front();
    const ModelConfig model = base.model.resolved();
    const SyntheticTokens data(shape.vocab, model.context);
    for (const Config& config : configs) make_trainer(config, data, options.context);  // may throw

    const Index micro_batch = base.train.batch * model.context;
    ShapeBench out{{shape.name, model.layers, model.width, model.heads, model.context,
                    base.train.batch, shape.vocab},
                   options.precision,
                   options.context.device,
                   micro_batch * base.train.accumulate,
                   train_flops_per_token(model, shape.vocab, 0),
                   options.rounds,
                   options.steps,
                   {},
                   {}};
    set_up_threads(options.context);
    constexpr int kRepeats = 15;
    out.gemm =
        measure_gemms(options.context, model, shape.vocab, micro_batch, out.precision, kRepeats);
    Racer baseline(base, data, options.context);
    const double share = 1.0 / static_cast<double>(mixers.size());
    for (std::size_t i = 0; i < mixers.size(); ++i)
        out.rows.push_back(
            Race{options, out, data, baseline, micro_batch, share * static_cast<double>(i), share}
                .run(mixers[i], configs[i]));
    return out;
}

}  // namespace plumb
