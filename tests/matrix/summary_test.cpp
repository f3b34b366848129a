#include "matrix/summary.h"

#include "catch.h"
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
    void do_depth_matrix(Index token, View<double> m) const override {
        const Index rows = m.extent(0), channels = m.extent(2);
        for (Index r = 0; r < rows; ++r)
            for (Index i = 0; i < rows; ++i)
                for (Index g = 0; g < channels; ++g)
                    m.data[(r * rows + i) * channels + g] = value(token, r, i, g);
    }
};

}  // namespace

TEST_CASE("the summary of M is its mean, spread and some tokens", "[matrix]") {
    constexpr Index n_tokens = 10, channels = 3, rows = 5;
    const KnownMatrix mixer(rows - 1, n_tokens, channels);
    const MatrixSummary s = summarise_matrix(mixer, 4);
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
            CHECK(static_cast<double>(s.mean[at]) == Approx(mean).epsilon(1e-6));
            CHECK(static_cast<double>(s.std[at]) == Approx(i > r ? 0.0 : spread).epsilon(1e-5));
            for (std::size_t k = 0; k < 4; ++k)
                CHECK(static_cast<double>(s.sample[k * rows * rows + at]) ==
                      Approx(KnownMatrix::value(sampled[k], r, i, 1)).epsilon(1e-6));
        }
}

TEST_CASE("a summary samples no more tokens than there are", "[matrix]") {
    const MatrixSummary s = summarise_matrix(KnownMatrix(2, 3, 1), 8);
    CHECK(s.n_sample == 3);
    REQUIRE(s.sample.size() == 3 * 9);
    for (Index n = 0; n < 3; ++n)
        CHECK(s.sample[static_cast<std::size_t>(n * 9)] == static_cast<float>(n));
}

TEST_CASE("M of the standard residual is a triangle of ones in every token", "[matrix]") {
    TinyTrainer t = tiny_trainer("standard");
    t.step(0);
    const MatrixSummary s = summarise_matrix(t.trainer->model().mixer(), 8);
    REQUIRE(s.rows == 5);
    for (Index r = 0; r < 5; ++r)
        for (Index i = 0; i < 5; ++i) {
            const auto at = static_cast<std::size_t>(r * 5 + i);
            CHECK(s.mean[at] == (i <= r ? 1.0f : 0.0f));
            CHECK(s.std[at] == 0.0f);
        }
}
