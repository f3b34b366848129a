// What a depth-mixing matrix says about how information travels. Pure functions.
//
// M is (L+1, L+1): row r = l-1 for what sublayer l reads (l = 1..L+1), column i for source v_i,
// zero for i > r. h_l = sum_i M(l-1, i) v_i.
#pragma once

#include <Eigen/Dense>

#include <vector>

namespace plumb {

// Default relative tolerance of a rank: fits exact matrices of one token stored in float.
inline constexpr double kRankTolerance = 1e-6;

// Singular values above tolerance * largest. 0 for a zero or empty matrix.
Eigen::Index numerical_rank(const Eigen::MatrixXd& a, double tolerance = kRankTolerance);

// exp of the entropy of the singular values divided by their sum (Roy & Vetterli 2007): 1 for rank
// one, n for n equal singular values. 0 for a zero or empty matrix.
double effective_rank(const Eigen::MatrixXd& a);

// Cut r = 1..L+1: what is read after source r-1 exists, from the sources up to it: rows l >= r,
// columns 0..r-1, (L+2-r, r). Its rank is the number of vectors that a streaming implementation
// has to carry across.
Eigen::MatrixXd cut(const Eigen::MatrixXd& m, Eigen::Index r);

// Of cuts 1..L+1, in this order.
std::vector<Eigen::Index> cut_ranks(const Eigen::MatrixXd& m, double tolerance = kRankTolerance);
std::vector<double> cut_effective_ranks(const Eigen::MatrixXd& m);

struct MatrixFigures {
    Eigen::VectorXd row_sums;            // (L+1)
    double max_row_gain;                 // largest row sum of |M|: no read exceeds it times the
                                         // largest source
    double spectral_gain;                // largest singular value of M
    std::vector<Eigen::Index> cut_rank;  // (L+1), cuts 1..L+1
    std::vector<double> effective_rank;  // (L+1)
    Eigen::Index max_cut_rank;           // semiseparable rank of M
    double max_effective_rank;
};

// Throws InternalError unless M is square, not empty and lower triangular; UsageError for numbers
// that are not finite.
MatrixFigures analyse(const Eigen::MatrixXd& m, double tolerance = kRankTolerance);

}  // namespace plumb
