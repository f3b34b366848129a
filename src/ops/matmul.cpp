#include "ops/matmul.h"

namespace plumb {

template <class Real>
void gemm(const Context& ctx, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc) {
    dispatch(ctx, "matmul", [&](auto device) {
        gemm<Real>(device, ctx, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    });
}

template void gemm(const Context&, Op, Op, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(const Context&, Op, Op, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);

}  // namespace plumb
