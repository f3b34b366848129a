// Sinkhorn normalisation of a small matrix, in the order the released mHC kernels use:
//     P = softmax_rows(logits) + eps;  P /= colsum + eps;  then (iters - 1) x {rows; columns}
// with eps = 1e-6 in every division. The last pass is over columns, so column sums are 1 up to eps
// and row sums only as far as the iterations converged (methods: 1e-4 at logit std 1, 0.05 at 5).
#pragma once

#include <array>

namespace plumb {

inline constexpr int kMaxSinkhornIters = 64;

template <class Real>
struct Sinkhorn {
    static constexpr int kMaxSize = 8;
    static constexpr double kEps = 1e-6;

    // logits, p: (k, k) row-major; k <= 8, 1 <= iters <= 64. Keeps what backward needs.
    void forward(const Real* logits, int k, int iters, Real* p);
    // dp -> dlogits (overwrites), of the last forward.
    void backward(const Real* dp, Real* dlogits) const;

private:
    using Matrix = std::array<Real, kMaxSize * kMaxSize>;
    int k_ = 0, n_passes_ = 0;
    Matrix softmax_;
    std::array<Matrix, 2 * kMaxSinkhornIters> passes_;  // after each division
    std::array<std::array<Real, kMaxSize>, 2 * kMaxSinkhornIters>
        divisor_;  // of each row or column
};

// Largest |row sum - 1| or |column sum - 1| of p (k, k).
template <class Real>
double marginal_error(const Real* p, int k);

}  // namespace plumb
