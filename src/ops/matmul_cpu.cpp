#include "ops/matmul.h"

#include "ops/slices.h"
#define PLUMB_LANES 8
#include "ops/transpose.h"

#include <Eigen/Core>
#ifdef PLUMB_HAVE_ONEDNN
#include <dnnl.h>
#endif

#include <vector>

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

#ifdef PLUMB_HAVE_ONEDNN
// oneDNN reads an operand whose rows are summed over, A of A^T or B of B, by columns, and rows that
// lie a power of two apart share few sets of a cache. Where they lie a multiple of 512 bytes apart,
// it gets such an A transposed; where 2 KiB, a copy of such a B with other rows apart: kCopied rows
// of them at a time. Measured on AVX2, one thread, GFLOP/s, dW: 256 -> 768 channels, 2048 tokens,
// 70 as it lies, 84 with A transposed; 1024 -> 384, 4096 tokens, 46 as it lies, 78 with B copied.
constexpr Index kFewSetsOfA = 128, kFewSetsOfB = 512, kCopied = 512, kLeastUses = 64;

class Copied {
public:
    // Rows of `columns` numbers, `stride` apart, which becomes what it is in the copy.
    const float* of(const float* from, Index rows, Index columns, Index& stride) {
        float* to = room(rows, columns);
        for (Index i = 0; i < rows; ++i) std::copy_n(from + i * stride, columns, to + i * apart_);
        stride = apart_;
        return to;
    }
    // The same transposed.
    const float* transposed(const float* from, Index rows, Index columns, Index& stride) {
        float* to = room(columns, rows);
        const Index down = rows / kLanes * kLanes, across = columns / kLanes * kLanes;
        turn(from, stride, down, across, to, apart_);
        for (Index j = 0; j < columns; ++j)
            for (Index i = j < across ? down : 0; i < rows; ++i)
                to[j * apart_ + i] = from[i * stride + j];
        stride = apart_;
        return to;
    }

private:
    float* room(Index rows, Index columns) {
        apart_ = (columns + 31) / 16 * 16;
        if (apart_ % kFewSetsOfA == 0) apart_ += 16;
        if (std::ssize(numbers_) < rows * apart_)
            numbers_.resize(static_cast<std::size_t>(rows * apart_));
        return numbers_.data();
    }

    std::vector<float> numbers_;  // grows on first use
    Index apart_ = 0;             // rows of the copy
};
thread_local Copied copy_of_a, copy_of_b;

// One slice, on the calling thread. Returns whether the library took it.
bool one_gemm(Op op_a, Op op_b, Index m, Index n, Index k, float alpha, const float* a, Index lda,
              const float* b, Index ldb, float beta, float* c, Index ldc) {
    // The same call in oneDNN 2.x and 3.x.
    const auto sgemm = [&](Op op, Index depth, const float* from_a, Index stride_a,
                           const float* from_b, Index stride_b, float keep) {
        return dnnl_sgemm(static_cast<char>(op), static_cast<char>(op_b), m, n, depth, alpha,
                          from_a, stride_a, from_b, stride_b, keep, c, ldc) == dnnl_success;
    };
    const bool a_by_columns = op_a == Op::transpose, b_by_columns = op_b == Op::none;
    const bool turns_a = k > 0 && a_by_columns && lda % kFewSetsOfA == 0 && n >= kLeastUses;
    const bool copies_b = k > 0 && b_by_columns && ldb % kFewSetsOfB == 0 && m >= kLeastUses;
    if (!turns_a && !copies_b) return sgemm(op_a, k, a, lda, b, ldb, beta);
    bool ok = true;
    for (Index first = 0; ok && first < k; first += kCopied) {
        const Index depth = std::min(kCopied, k - first);
        const float* part_a = a + first * (a_by_columns ? lda : 1);
        const float* part_b = b + first * (b_by_columns ? ldb : 1);
        Index stride_a = lda, stride_b = ldb;
        if (turns_a) part_a = copy_of_a.transposed(part_a, depth, m, stride_a);
        if (copies_b) part_b = copy_of_b.of(part_b, depth, n, stride_b);
        ok = sgemm(turns_a ? Op::none : op_a, depth, part_a, stride_a, part_b, stride_b,
                   first == 0 ? beta : 1.0f);
    }
    return ok;
}
#else
bool one_gemm(Op op_a, Op op_b, Index m, Index n, Index k, float alpha, const float* a, Index lda,
              const float* b, Index ldb, float beta, float* c, Index ldc) {
    eigen_gemm(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return true;
}
#endif

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
