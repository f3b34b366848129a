// Sinkhorn on a GPU (mixers/sinkhorn.h has the definition): a K x K matrix a thread, in registers.
//
//     p = softmax of rows + eps;  columns /= sum + eps;  (iters - 1) times rows, columns
//
// Backward goes forward again, keeps each pass's divisors and takes the passes back: before a
// division a line was y * divisor, so no matrix is kept. The (2 iters - 1) K divisors lie in
// dynamic shared memory, one column a thread: 39 KiB of float at 64 threads, K = 4, 20 iterations.
//
// Layout: entry e of token n at [e N + n], so that a warp reads 128 bytes at once. Bytes a token:
// forward 2 K K, backward 3 K K numbers. Neither bytes nor flops bound it (16k tokens: 2 MB), but a
// chain of 2 iters - 1 passes, each a sum of K, a division and a product: about 1.5 us for 20.
#pragma once

#include "core/row.cuh"

namespace plumb::gpu {

inline constexpr double kSinkhornEps = 1e-6;

template <bool columns, int K, class Real>
__device__ inline void divide_lines(Real (&p)[K * K], Real (&divisor)[K]) {
#pragma unroll
    for (int i = 0; i < K; ++i) {
        Real sum = Real(kSinkhornEps);
#pragma unroll
        for (int j = 0; j < K; ++j) sum += p[columns ? j * K + i : i * K + j];
        divisor[i] = sum;
        const Real inverse = reciprocal(sum);
#pragma unroll
        for (int j = 0; j < K; ++j) p[columns ? j * K + i : i * K + j] *= inverse;
    }
}
template <int K, class Real>
__device__ inline void softmax_rows(Real (&p)[K * K]) {
#pragma unroll
    for (int i = 0; i < K; ++i) {
        Real max = p[i * K], sum = 0;
#pragma unroll
        for (int j = 1; j < K; ++j) max = p[i * K + j] > max ? p[i * K + j] : max;
#pragma unroll
        for (int j = 0; j < K; ++j) sum += p[i * K + j] = weight(p[i * K + j] - max);
        const Real inverse = reciprocal(sum);
#pragma unroll
        for (int j = 0; j < K; ++j) p[i * K + j] *= inverse;
    }
}
// dy -> dx of y = x / (sum of the line + eps), y known; y becomes x.
template <bool columns, int K, class Real>
__device__ inline void divide_lines_back(const Real (&divisor)[K], Real (&y)[K * K],
                                         Real (&g)[K * K]) {
#pragma unroll
    for (int i = 0; i < K; ++i) {
        const Real inverse = reciprocal(divisor[i]);
        Real along = 0;
#pragma unroll
        for (int j = 0; j < K; ++j) {
            const int e = columns ? j * K + i : i * K + j;
            along += g[e] * y[e];
        }
#pragma unroll
        for (int j = 0; j < K; ++j) {
            const int e = columns ? j * K + i : i * K + j;
            g[e] = (g[e] - along) * inverse;
            y[e] *= divisor[i];
        }
    }
}

template <class Real, int K>
__global__ void __launch_bounds__(64) sinkhorn(long N, int iters, const Real* logits, Real* out) {
    for (long n = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; n < N;
         n += static_cast<long>(gridDim.x) * blockDim.x) {
        Real p[K * K], divisor[K];
#pragma unroll
        for (int e = 0; e < K * K; ++e) p[e] = logits[e * N + n];
        softmax_rows<K>(p);
#pragma unroll
        for (int e = 0; e < K * K; ++e) p[e] += Real(kSinkhornEps);
        divide_lines<true, K>(p, divisor);
        for (int it = 1; it < iters; ++it) {
            divide_lines<false, K>(p, divisor);
            divide_lines<true, K>(p, divisor);
        }
#pragma unroll
        for (int e = 0; e < K * K; ++e) out[e * N + n] = p[e];
    }
}

template <class Real, int K>
constexpr std::size_t sinkhorn_backward_shared(int threads, int iters) {
    return sizeof(Real) * static_cast<std::size_t>((2 * iters - 1) * K * threads);
}

template <class Real, int K>
__global__ void __launch_bounds__(64)
    sinkhorn_backward(long N, int iters, const Real* logits, const Real* dout, Real* dlogits) {
#ifdef __CUDACC__
    extern __shared__ __align__(16) unsigned char raw[];
    Real* kept = reinterpret_cast<Real*>(raw);
#else
    Real* kept = static_cast<Real*>(emulated::shared_dynamic());
#endif
    const auto keep = [&](int pass, Real(&divisor)[K], bool back) {
#pragma unroll
        for (int i = 0; i < K; ++i) {
            Real& at = kept[(pass * K + i) * static_cast<int>(blockDim.x) + threadIdx.x];
            back ? divisor[i] = at : at = divisor[i];
        }
    };
    for (long n = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; n < N;
         n += static_cast<long>(gridDim.x) * blockDim.x) {
        Real y[K * K], soft[K * K], g[K * K], divisor[K];
#pragma unroll
        for (int e = 0; e < K * K; ++e) soft[e] = logits[e * N + n], g[e] = dout[e * N + n];
        softmax_rows<K>(soft);
#pragma unroll
        for (int e = 0; e < K * K; ++e) y[e] = soft[e] + Real(kSinkhornEps);
        divide_lines<true, K>(y, divisor);
        keep(0, divisor, false);
        for (int it = 1; it < iters; ++it) {
            divide_lines<false, K>(y, divisor);
            keep(2 * it - 1, divisor, false);
            divide_lines<true, K>(y, divisor);
            keep(2 * it, divisor, false);
        }
        for (int it = iters - 1; it >= 1; --it) {
            keep(2 * it, divisor, true);
            divide_lines_back<true, K>(divisor, y, g);
            keep(2 * it - 1, divisor, true);
            divide_lines_back<false, K>(divisor, y, g);
        }
        keep(0, divisor, true);
        divide_lines_back<true, K>(divisor, y, g);
#pragma unroll
        for (int i = 0; i < K; ++i) {
            Real along = 0;
#pragma unroll
            for (int j = 0; j < K; ++j) along += g[i * K + j] * soft[i * K + j];
#pragma unroll
            for (int j = 0; j < K; ++j)
                dlogits[(i * K + j) * N + n] = soft[i * K + j] * (g[i * K + j] - along);
        }
    }
}

}  // namespace plumb::gpu
