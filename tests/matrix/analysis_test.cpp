#include "matrix/analysis.h"

#include "catch.h"
#include "core/check.h"
#include "core/rng.h"

#include <cmath>

using namespace plumb;
using Eigen::Index;
using Eigen::MatrixXd;

namespace {

// Uniform in (0.2, 1.2): positive weights, none negligible.
class Draw {
public:
    double operator()() { return 0.2 + rng_.uniform(next_++); }
    MatrixXd matrix(Index rows, Index cols) {
        MatrixXd m(rows, cols);
        for (Index i = 0; i < m.size(); ++i) m.data()[i] = (*this)();
        return m;
    }

private:
    CounterRng rng_{1, "analysis_test"};
    std::uint64_t next_ = 0;
};

MatrixXd standard(Index n) { return MatrixXd::Ones(n, n).triangularView<Eigen::Lower>(); }

// Scalar gates: M[l,i] = t_i prod_{j=i+1}^{l-1} (1 - t_j), M[l,0] = prod_{j=1}^{l-1} (1 - t_j).
MatrixXd highway(Index n) {
    Draw draw;
    MatrixXd m = MatrixXd::Zero(n, n);
    m(0, 0) = 1;
    for (Index r = 1; r < n; ++r) {
        const double t = draw() / 2;
        m.row(r) = (1 - t) * m.row(r - 1);
        m(r, r) = t;
    }
    return m;
}

// K streams: h_l = c_l^T X_l, X_{l+1} = A_l X_l + b_l v_l^T, all random.
MatrixXd streams(Index n, Index k) {
    Draw draw;
    MatrixXd m = MatrixXd::Zero(n, n), x = MatrixXd::Zero(k, n);
    x.col(0) = draw.matrix(k, 1);
    for (Index r = 0; r < n; ++r) {
        m.row(r) = draw.matrix(1, k) * x;
        if (r + 1 == n) break;
        x = (draw.matrix(k, k) * x / static_cast<double>(k)).eval();
        x.col(r + 1) = draw.matrix(k, 1);
    }
    return m;
}

MatrixXd dense(Index n) { return Draw().matrix(n, n).triangularView<Eigen::Lower>(); }

// Block AttnRes: one weight for the embedding, for each completed block of `size` sublayers, and
// for the running block's partial sum; unnormalised.
MatrixXd blocks(Index n, Index size) {
    Draw draw;
    MatrixXd m = MatrixXd::Zero(n, n);
    for (Index r = 0; r < n; ++r) {
        m(r, 0) = draw();
        for (Index first = 1; first <= r; first += size) {
            const double weight = draw();
            for (Index i = first; i < std::min(first + size, r + 1); ++i) m(r, i) = weight;
        }
    }
    return m;
}

Index max_cut_rank(const MatrixXd& m) { return analyse(m).max_cut_rank; }

}  // namespace

TEST_CASE("recurrent mixers have the cut rank of their number of streams") {
    for (const Index n : {13, 17}) {
        CHECK(max_cut_rank(standard(n)) == 1);
        CHECK(max_cut_rank(highway(n)) == 1);
        for (const Index k : {1, 2, 3, 4}) CHECK(max_cut_rank(streams(n, k)) == k);
    }
}

TEST_CASE("a dense matrix has full rank at every cut") {
    const Index n = 13;  // L = 12
    const auto ranks = cut_ranks(dense(n));
    REQUIRE(ranks.size() == 13);
    for (Index r = 1; r <= n; ++r)
        CHECK(ranks[static_cast<std::size_t>(r - 1)] == std::min(r, n + 1 - r));
    CHECK(max_cut_rank(dense(13)) == 7);
    CHECK(max_cut_rank(dense(16)) == 8);
}

TEST_CASE("block structures have the ranks known for them") {
    // L = 12 sublayers, block size -> rank.
    for (const auto& [size, rank] : {std::pair{6, 3}, {4, 4}, {3, 4}, {2, 5}, {1, 7}})
        CHECK(max_cut_rank(blocks(13, size)) == rank);
    // A matrix of 16 rows.
    for (const auto& [size, rank] : {std::pair{2, 6}, {4, 4}, {8, 3}, {16, 2}})
        CHECK(max_cut_rank(blocks(16, size)) == rank);
}

TEST_CASE("rank of known matrices, and what the tolerance does") {
    CHECK(numerical_rank(MatrixXd::Zero(3, 4)) == 0);
    CHECK(numerical_rank(MatrixXd(0, 0)) == 0);
    CHECK(numerical_rank(MatrixXd::Identity(3, 5)) == 3);
    const MatrixXd graded = Eigen::Vector4d(1, 1e-2, 1e-5, 1e-8).asDiagonal();
    CHECK(numerical_rank(graded) == 3);
    CHECK(numerical_rank(graded, 1e-3) == 2);
    CHECK(numerical_rank(1e-9 * graded, 1e-9) == 4);
}

TEST_CASE("effective rank of known spectra") {
    CHECK(effective_rank(MatrixXd::Ones(4, 6)) == Approx(1).epsilon(1e-12));
    CHECK(effective_rank(MatrixXd::Identity(5, 5)) == Approx(5).epsilon(1e-12));
    CHECK(effective_rank(MatrixXd::Zero(2, 2)) == 0);
    // p = 3/4, 1/4.
    const MatrixXd two = Eigen::Vector2d(3, -1).asDiagonal();
    const double entropy = -(0.75 * std::log(0.75) + 0.25 * std::log(0.25));
    CHECK(effective_rank(two) == Approx(std::exp(entropy)).epsilon(1e-12));
    for (const double e : cut_effective_ranks(standard(9))) CHECK(e == Approx(1).epsilon(1e-7));
}

TEST_CASE("row sums and gains") {
    const MatrixFigures s = analyse(standard(5));
    for (Index r = 0; r < 5; ++r) CHECK(s.row_sums[r] == static_cast<double>(r + 1));
    CHECK(s.max_row_gain == 5);
    // All-ones lower triangle of order n: 1 / (2 sin(pi / (4n + 2))).
    CHECK(s.spectral_gain == Approx(1 / (2 * std::sin(M_PI / 22))).epsilon(1e-12));
    const MatrixFigures h = analyse(highway(9));
    CHECK((h.row_sums.array() - 1).abs().maxCoeff() < 1e-14);
    MatrixXd m = MatrixXd::Zero(2, 2);
    m << 1, 0, 3, -4;
    CHECK(analyse(m).max_row_gain == 7);
    CHECK(analyse(m).row_sums[1] == -1);
    CHECK(analyse(m).cut_rank.size() == 2);
    CHECK(analyse(m).max_effective_rank >= 1);
}

TEST_CASE("a cut is the rows from r on and the sources before") {
    MatrixXd m(3, 3);
    m << 1, 0, 0, 2, 3, 0, 4, 5, 6;
    MatrixXd second(2, 2);
    second << 2, 3, 4, 5;
    CHECK(cut(m, 1) == m.col(0));
    CHECK(cut(m, 2) == second);
    CHECK(cut(m, 3) == m.row(2));
    CHECK_THROWS_AS(cut(m, 4), InternalError);
}

TEST_CASE("what is not a depth-mixing matrix is refused") {
    CHECK_THROWS_AS(analyse(MatrixXd::Ones(3, 3)), InternalError);
    CHECK_THROWS_AS(analyse(MatrixXd::Zero(2, 3)), InternalError);
    CHECK_THROWS_AS(analyse(MatrixXd::Zero(0, 0)), InternalError);
    CHECK_THROWS_AS(analyse(standard(3) * std::nan("")), UsageError);
}
