// Tensor-core product of one warp: d (16, 8) += a (16, 16) b (16, 8), bf16 operands, float sums.
// Fragments (PTX ISA, mma.m16n8k16), with g = lane / 4 and t = lane % 4, the low half first:
//
//     a[0] = A[g][2t, 2t+1]      a[1] = A[g+8][2t, 2t+1]
//     a[2] = A[g][2t+8, 2t+9]    a[3] = A[g+8][2t+8, 2t+9]
//     b[0] = B[2t, 2t+1][g]      b[1] = B[2t+8, 2t+9][g]
//     d[0], d[1] = D[g][2t, 2t+1]    d[2], d[3] = D[g+8][2t, 2t+1]
#pragma once

#include "core/bf16.h"

#include <cuda_runtime.h>

namespace plumb::gpu {

__device__ inline void mma_16x8x16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef __CUDACC__
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated::ptx::mma_m16n8k16_bf16(d, a, b);
#endif
}

// B of two 8 x 8 matrices one below the other in shared memory: `row`, of lanes 0..15, is row 0..15
// of 8 numbers, 16 bytes aligned; of other lanes, any of them.
__device__ inline void load_transposed(const Bf16* row, unsigned (&b)[2]) {
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1])
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
                 : "memory");
#else
    emulated::ptx::ldmatrix_x2_trans(b, row);
#endif
}

}  // namespace plumb::gpu
