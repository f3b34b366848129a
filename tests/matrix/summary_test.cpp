#include "matrix/summary.h"

#include "catch.h"
#include "support/every_mixer.h"
#include "support/tiny_trainer.h"

#include <cmath>

using namespace plumb;
using namespace plumb::test;

namespace {

// M of token n, row r, column i, channel g: n + 10 r + 100 i + 1000 g below the diagonal.
class KnownMatrix final : public DepthMatrix<double> {
public:
    KnownMatrix(int sublayers, Index tokens, Index channels)
        : DepthMatrix<double>({sublayers, tokens, channels, 0.0}) {}
    Index matrix_channels() const override { return shape().channels; }
    static double value(Index n, Index r, Index i, Index g) {
        return i > r ? 0.0 : static_cast<double>(n + 10 * r + 100 * i + 1000 * g);
    }

protected:
    OfToken do_matrices(const Context&) const override {
        return [](Index token, View<double> m, int) {
            const Index rows = m.extent(0), channels = m.extent(2);
            for (Index r = 0; r < rows; ++r)
                for (Index i = 0; i < rows; ++i)
                    for (Index g = 0; g < channels; ++g)
                        m.data[(r * rows + i) * channels + g] = value(token, r, i, g);
        };
    }
};

template <class Real>
MatrixSummary summarise(const DepthMatrix<Real>& mixer, Index n_sample, const Context& ctx = {}) {
    MatrixSums<Real> sums(mixer, n_sample);
    sums.add(ctx, mixer.shape().tokens);
    return sums.summary();
}

// Shares from what the mixer read: <M v, h> / <h, h> and |M v| / |h|, mean over tokens.
void check_shares(ToyStack<double>& stack, int way) {
    const MixerShape& shape = stack.mixer().shape();
    const Index rows = shape.sublayers() + 1, gates = stack.mixer().matrix_channels();
    std::vector<View<const double>> outputs;
    for (int l = 0; l < rows; ++l) outputs.push_back(stack.output(l));
    MatrixSums<double> sums(stack.mixer(), 2, way);
    sums.add(stack.home(), shape.tokens, outputs);
    const MatrixSummary s = sums.summary();
    for (Index r = 0; r < rows; ++r) {
        double whole = 0;
        for (Index i = 0; i <= r; ++i) {
            double mean = 0, square = 0, magnitude = 0;
            for (Index n = 0; n < shape.tokens; ++n) {
                const auto m = stack.matrix(n, way);
                const int l = static_cast<int>(r) + 1;
                const double* h = stack.read(l, stack.mixer().ways(l) > 1 ? way : 0).row(n);
                double along = 0, size = 0, norm = 0;
                for (Index c = 0; c < shape.channels; ++c) {
                    const auto at = static_cast<std::size_t>((r * rows + i) * gates +
                                                             c * gates / shape.channels);
                    const double part = m[at] * outputs[static_cast<std::size_t>(i)].row(n)[c];
                    along += part * h[c], size += part * part, norm += h[c] * h[c];
                }
                mean += along / norm / static_cast<double>(shape.tokens);
                square += along / norm * along / norm / static_cast<double>(shape.tokens);
                magnitude += std::sqrt(size / norm) / static_cast<double>(shape.tokens);
            }
            const auto at = static_cast<std::size_t>(r * rows + i);
            CHECK(s.share[at] == Approx(mean).epsilon(1e-9).margin(1e-12));
            CHECK(s.share_std[at] ==
                  Approx(std::sqrt(std::max(0.0, square - mean * mean))).margin(1e-6));
            CHECK(s.magnitude[at] == Approx(magnitude).epsilon(1e-9));
            whole += s.share[at];
        }
        CHECK(whole == Approx(1).epsilon(1e-12));
        CHECK(s.effective_sources[static_cast<std::size_t>(r)] > 0);
        CHECK(s.effective_sources[static_cast<std::size_t>(r)] <=
              static_cast<double>(r + 1) * (1 + 1e-12));
    }
}

}  // namespace

TEST_CASE("the summary of M is its mean, spread and some tokens", "[matrix]") {
    constexpr Index n_tokens = 10, channels = 3, rows = 5;
    const KnownMatrix mixer(rows - 1, n_tokens, channels);
    const MatrixSummary s = summarise(mixer, 4);
    REQUIRE((s.rows == rows && s.n_sample == 4));
    REQUIRE((s.mean.size() == rows * rows && s.std.size() == rows * rows));
    REQUIRE(s.sample.size() == 4 * rows * rows);
    // Evenly spread: one of each quarter of the tokens.
    const Index sampled[] = {2, 4, 7, 9};
    // Variances of 0..9 and of 0, 1000, 2000 add up.
    const double spread = std::sqrt(99.0 / 12 + 1e6 * 8 / 12);
    for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < rows; ++i) {
            const auto at = static_cast<std::size_t>(r * rows + i);
            const double mean = i > r ? 0.0 : 4.5 + 1000 + static_cast<double>(10 * r + 100 * i);
            CHECK(s.mean[at] == Approx(mean).epsilon(1e-6));
            CHECK(s.std[at] == Approx(i > r ? 0.0 : spread).epsilon(1e-5));
            for (std::size_t k = 0; k < 4; ++k)
                CHECK(s.sample[k * rows * rows + at] ==
                      Approx(KnownMatrix::value(sampled[k], r, i, 1)).epsilon(1e-6));
        }
}

TEST_CASE("a summary samples no more tokens than there are", "[matrix]") {
    const MatrixSummary s = summarise(KnownMatrix(2, 3, 1), 8);
    CHECK(s.n_sample == 3);
    REQUIRE(s.sample.size() == 3 * 9);
    for (Index n = 0; n < 3; ++n)
        CHECK(s.sample[static_cast<std::size_t>(n * 9)] == static_cast<double>(n));
}

TEST_CASE("M of the standard residual is a triangle of ones in every token", "[matrix]") {
    TinyTrainer t = tiny_trainer("standard");
    t.step(0);
    Model<float>& model = t.trainer->model();
    const MatrixSummary s = summarise(model.mixer(), 8, Context{}.in(model.frame()));
    REQUIRE(s.rows == 5);
    for (Index r = 0; r < 5; ++r)
        for (Index i = 0; i < 5; ++i) {
            const auto at = static_cast<std::size_t>(r * 5 + i);
            CHECK(s.mean[at] == (i <= r ? 1.0 : 0.0));
            CHECK(s.std[at] == 0.0);
        }
}

TEST_CASE("shares are what each source makes up of a read, in every mixer", "[matrix]") {
    int n = 0;
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config);
        if (!stack) return;
        stack->forward(Context{});
        for (int way = 0; way < stack->mixer().most_ways(); ++way) check_shares(*stack, way);
        ++n;
    });
    CHECK(n >= 15);
}

TEST_CASE("shares by hand: two sources at right angles, and one against the other", "[matrix]") {
    // One token, L = 1: the last read is 1 v_0 + 1 v_1.
    const auto mixer = make_mixer<double>(mixer_config("standard"), {1, 1, 2, 0.0});
    const std::vector<double> v0{3, 0}, v1{0, 4}, against{-2, 0};
    const auto row = [](const std::vector<double>& v) {
        return View<const double>{v.data(), {{'N', 1}, {'C', 2}}};
    };
    MatrixSums<double> right(*mixer, 1), opposite(*mixer, 1), zero(*mixer, 1);
    right.add(Context{}, 1, std::vector{row(v0), row(v1)});
    const MatrixSummary a = right.summary();
    CHECK(a.share == std::vector<double>{1, 0, 9.0 / 25, 16.0 / 25});
    CHECK(a.magnitude == std::vector<double>{1, 0, 3.0 / 5, 4.0 / 5});
    CHECK(a.effective_sources[1] == Approx(625.0 / (81 + 256)).epsilon(1e-14));
    opposite.add(Context{}, 1, std::vector{row(v0), row(against)});
    CHECK(opposite.summary().share == std::vector<double>{1, 0, 3, -2});
    CHECK(opposite.summary().effective_sources[1] == Approx(1.0 / 13).epsilon(1e-14));
    // A read of zero has no shares.
    const std::vector<double> minus{-3, 0};
    zero.add(Context{}, 1, std::vector{row(v0), row(minus)});
    CHECK(zero.summary().share == std::vector<double>{1, 0, 0, 0});
    CHECK(zero.summary().effective_sources == std::vector<double>{1, 0});
}

TEST_CASE(
    "passes add up, tokens that only fill a batch do not count, threads "
    "do not matter",
    "[matrix]") {
    const auto stack = toy_stack<double>(mixer_config("attnres"), {5, 9, 7, 1e-6});
    stack->forward(Context{});
    std::vector<View<const double>> outputs;
    for (int l = 0; l <= 5; ++l) outputs.push_back(stack->output(l));
    MatrixSums<double> once(stack->mixer(), 4), twice(stack->mixer(), 4), part(stack->mixer(), 4);
    const Context one = stack->home(), two = stack->home({Device::cpu, 2});
    once.add(one, 9, outputs);
    twice.add(two, 9, outputs);
    CHECK(once.summary().share == twice.summary().share);
    CHECK(once.summary().mean == twice.summary().mean);
    twice.add(two, 9, outputs);
    part.add(one, 3, outputs);
    CHECK(twice.summary().n_sample == 4);
    CHECK(part.summary().n_sample == 3);
    for (std::size_t e = 0; e < 36; ++e) {
        CHECK(twice.summary().share[e] == Approx(once.summary().share[e]).margin(1e-15));
        CHECK(twice.summary().share_std[e] == Approx(once.summary().share_std[e]).margin(1e-15));
    }
    CHECK(part.summary().share != once.summary().share);
}
