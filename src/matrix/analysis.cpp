#include "matrix/analysis.h"

#include "core/check.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// Largest first; none for an empty matrix.
Eigen::VectorXd singular_values(const Eigen::MatrixXd& a) {
    if (a.size() == 0) return {};
    return Eigen::JacobiSVD<Eigen::MatrixXd>(a).singularValues();
}

Eigen::Index rank_of(const Eigen::VectorXd& s, double tolerance) {
    if (s.size() == 0 || !(s[0] > 0)) return 0;
    return (s.array() > tolerance * s[0]).count();
}

double effective_rank_of(const Eigen::VectorXd& s) {
    const double sum = s.sum();
    if (!(sum > 0)) return 0;
    double entropy = 0;
    for (const double x : s)
        if (x > 0) entropy -= x / sum * std::log(x / sum);
    return std::exp(entropy);
}

}  // namespace

Eigen::Index numerical_rank(const Eigen::MatrixXd& a, double tolerance) {
    return rank_of(singular_values(a), tolerance);
}

double effective_rank(const Eigen::MatrixXd& a) { return effective_rank_of(singular_values(a)); }

Eigen::MatrixXd cut(const Eigen::MatrixXd& m, Eigen::Index r) {
    require(r >= 1 && r <= m.rows(), "cut out of range");
    return m.block(r - 1, 0, m.rows() - (r - 1), r);
}

std::vector<Eigen::Index> cut_ranks(const Eigen::MatrixXd& m, double tolerance) {
    std::vector<Eigen::Index> out;
    for (Eigen::Index r = 1; r <= m.rows(); ++r)
        out.push_back(numerical_rank(cut(m, r), tolerance));
    return out;
}

std::vector<double> cut_effective_ranks(const Eigen::MatrixXd& m) {
    std::vector<double> out;
    for (Eigen::Index r = 1; r <= m.rows(); ++r) out.push_back(effective_rank(cut(m, r)));
    return out;
}

MatrixFigures analyse(const Eigen::MatrixXd& m, double tolerance) {
    require(m.rows() == m.cols() && m.rows() >= 1, "a depth-mixing matrix is square");
    if (!m.allFinite()) throw UsageError("the depth-mixing matrix holds NaN or infinity");
    const Eigen::MatrixXd above = m.triangularView<Eigen::StrictlyUpper>();
    require(above.isZero(0), "a depth-mixing matrix is lower triangular");
    MatrixFigures out{m.rowwise().sum(),
                      m.cwiseAbs().rowwise().sum().maxCoeff(),
                      singular_values(m)[0],
                      cut_ranks(m, tolerance),
                      cut_effective_ranks(m),
                      0,
                      0};
    out.max_cut_rank = *std::max_element(out.cut_rank.begin(), out.cut_rank.end());
    out.max_effective_rank =
        *std::max_element(out.effective_rank.begin(), out.effective_rank.end());
    return out;
}

}  // namespace plumb
