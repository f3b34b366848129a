// Matrix products on a GPU, by cuBLASLt: what gemm() and Linear are made of there.
//
// cuBLASLt's matrices are column-major. A row-major matrix read as a column-major one is its
// transpose, so C = op(A) op(B) is asked for as C^T = op(B)^T op(A)^T: B comes first, with its own
// op, and no number moves.
//
// Sums are float, of double in double; bf16 operands are multiplied as they are. float operands are
// rounded to TF32, which is faster, only where PLUMB_TF32=1 in the environment asks for it. No
// algorithm is taken that rounds the parts of a sum to bf16. Which one is taken depends on sizes,
// types and the GPU alone, and none adds in an order of chance: the same bits in every run.
//
// The library is asked once per kind of product; from then on a product makes and allocates
// nothing. Pointers are aligned to 16 bytes.
#pragma once

#include "ops/matmul.h"

namespace plumb::gpu {

// Row-major: op(A) (m, k), op(B) (k, n), C (m, n).
struct Product {
    Op op_a, op_b;
    Index m, n, k, lda, ldb, ldc;
    auto operator<=>(const Product&) const = default;
};

// C = alpha op(A) op(B) + beta C on the GPU's stream; beta = 0 overwrites C. In and Out: float,
// double, Bf16, or Bf16 and float. Throws UsageError where the GPU has no such product.
template <class In, class Out>
void product(const Product& p, RealOf<In> alpha, const In* a, const In* b, RealOf<In> beta, Out* c);

}  // namespace plumb::gpu
