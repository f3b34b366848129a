// matmul: C = alpha op(A) op(B) + beta C, row-major with leading dimensions (BLAS's gemm).
// float runs on oneDNN where it was found, else on Eigen; double (the oracle) always on Eigen.
// Inside a parallel region it runs on the calling thread alone. On a GPU: ops/matmul.cuh.
//
// Threads and bits: the same for any number of threads, by construction (ops/slices.h). Left to its
// own threads oneDNN 2.6 splits k by them for A B^T with k >= 1024 and n >= 128 and for products
// with a vector. Measured per CPU second on 2 threads against one call with oneDNN's threads,
// products of a layer, 2048 and 4096 tokens: A B and A^T B 0.9 to 1.1 times as fast; A B^T 0.8 to
// 1.0, since each slice of rows transposes B anew, which is why Linear packs its weights.
#pragma once

#include "core/dispatch.h"

namespace plumb {

enum class Op : char { none = 'N', transpose = 'T' };

// op(A) is (m, k), op(B) is (k, n), C is (m, n). beta = 0 overwrites C, NaNs included.
template <class Real>
void gemm(const Context& ctx, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc);
// On a device.
template <class Real>
void gemm(Cpu, const Context& ctx, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc);
template <class Real>
void gemm(Cuda, const Context& ctx, Op op_a, Op op_b, Index m, Index n, Index k, Real alpha,
          const Real* a, Index lda, const Real* b, Index ldb, Real beta, Real* c, Index ldc);

// Name and version of the float backend, for `plumb doctor` and the manifest.
const char* gemm_backend();

}  // namespace plumb
