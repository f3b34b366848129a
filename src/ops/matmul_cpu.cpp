#include "ops/matmul.h"

#include "ops/slices.h"

#include <Eigen/Core>
#ifdef PLUMB_HAVE_ONEDNN
#include <dnnl.h>
#endif

namespace plumb {
namespace {

template <class Real>
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class Real>
using InMap = Eigen::Map<const Matrix<Real>, 0, Eigen::OuterStride<>>;
template <class Real>
using OutMap = Eigen::Map<Matrix<Real>, 0, Eigen::OuterStride<>>;

template <class Real>
void eigen_gemm(Op op_a, Op op_b, Index m, Index n, Index k, Real alpha, const Real* a, Index lda,
                const Real* b, Index ldb, Real beta, Real* c, Index ldc) {
    const bool ta = op_a == Op::transpose, tb = op_b == Op::transpose;
    const InMap<Real> A(a, ta ? k : m, ta ? m : k, Eigen::OuterStride<>(lda));
    const InMap<Real> B(b, tb ? n : k, tb ? k : n, Eigen::OuterStride<>(ldb));
    OutMap<Real> C(c, m, n, Eigen::OuterStride<>(ldc));
    if (beta == Real(0))
        C.setZero();
    else if (beta != Real(1))
        C *= beta;
    if (ta && tb)
        C.noalias() += alpha * A.transpose() * B.transpose();
    else if (ta)
        C.noalias() += alpha * A.transpose() * B;
    else if (tb)
        C.noalias() += alpha * A * B.transpose();
    else
        C.noalias() += alpha * A * B;
}

// One slice, on the calling thread. Returns whether the library took it.
bool one_gemm(Op op_a, Op op_b, Index m, Index n, Index k, float alpha, const float* a, Index lda,
              const float* b, Index ldb, float beta, float* c, Index ldc) {
#ifdef PLUMB_HAVE_ONEDNN
    // dnnl_sgemm is the same call in oneDNN 2.x and 3.x.
    return dnnl_sgemm(static_cast<char>(op_a), static_cast<char>(op_b), m, n, k, alpha, a, lda, b,
                      ldb, beta, c, ldc) == dnnl_success;
#else
    eigen_gemm(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return true;
#endif
}

bool one_gemm(Op op_a, Op op_b, Index m, Index n, Index k, double alpha, const double* a, Index lda,
              const double* b, Index ldb, double beta, double* c, Index ldc) {
    eigen_gemm(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return true;
}

// Waking the other threads pays: 2^22 multiply-adds are about 35 us on one; a product with a thin
// operand is bound by reading the other one.
bool worth_slicing(Index m, Index n, Index k) {
    return std::min(m, n) <= 16 ? std::max(m, n) * k > (1 << 16) : m * n * k > (1 << 22);
}

}  // namespace

template <class Real>
void gemm(Cpu, const Context& ctx, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc) {
    const Index dim = std::max(m, n), size = worth_slicing(m, n, k) ? slice_size(dim, 16) : dim;
    const bool rows = m >= n;
    const Index step_a = op_a == Op::none ? lda : 1, step_b = op_b == Op::none ? 1 : ldb;
    const bool ok = for_slices(ctx, dim, size, [&](Index begin, Index end) {
        if (rows)
            return one_gemm(op_a, op_b, end - begin, n, k, alpha, a + begin * step_a, lda, b, ldb,
                            beta, c + begin * ldc, ldc);
        return one_gemm(op_a, op_b, m, end - begin, k, alpha, a, lda, b + begin * step_b, ldb, beta,
                        c + begin, ldc);
    });
    require(ok, "dnnl_sgemm refused its arguments");
}

const char* gemm_backend() {
#ifdef PLUMB_HAVE_ONEDNN
    static const std::string text = [] {
        const dnnl_version_t* v = dnnl_version();
        return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
    }();
#else
    static const std::string text = fmt::format("Eigen {}.{}.{}", EIGEN_WORLD_VERSION,
                                                EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION);
#endif
    return text.c_str();
}

template void gemm(Cpu, const Context&, Op, Op, Index, Index, Index, float, const float*, Index,
                   const float*, Index, float, float*, Index);
template void gemm(Cpu, const Context&, Op, Op, Index, Index, Index, double, const double*, Index,
                   const double*, Index, double, double*, Index);

}  // namespace plumb
