// Sinkhorn normalisation of a small matrix, in the order the released mHC kernels use:
//     P = softmax_rows(logits) + eps;  P /= colsum + eps;  then (iters - 1) x {rows; columns}
// with eps = 1e-6 in every division. The last pass is over columns, so column sums are 1 up to eps
// and row sums only as far as the iterations converged (methods: 1e-4 at logit std 1, 0.05 at 5).
// n_lanes matrices are done side by side: entry e of lane t is x[e * n_lanes + t].
#pragma once

namespace plumb {

inline constexpr int kMaxSinkhornIters = 64;

template <class Real, int n_lanes = 1>
class Sinkhorn {
public:
    static constexpr int kMaxSize = 8;
    static constexpr double kEps = 1e-6;

    // logits, p: (k, k, n_lanes) row-major, may be the same; k <= 8, 1 <= iters <= 64. Keeps what
    // backward needs.
    void forward(const Real* logits, int k, int iters, Real* p);
    // dp -> dlogits (overwrites), of the last forward.
    void backward(const Real* dp, Real* dlogits) const;

private:
    typedef Real Lanes __attribute__((vector_size(n_lanes * sizeof(Real))));
    template <int K>
    void run(const Real* logits);
    template <int K>
    void run_backward(Real* g) const;

    int k_ = 0, n_passes_ = 0;
    Lanes softmax_[kMaxSize * kMaxSize], last_[kMaxSize * kMaxSize];
    Lanes divisor_[2 * kMaxSinkhornIters * kMaxSize];  // of each pass's rows or columns
};

// Largest |row sum - 1| or |column sum - 1| of p (k, k).
template <class Real>
double marginal_error(const Real* p, int k);

}  // namespace plumb
