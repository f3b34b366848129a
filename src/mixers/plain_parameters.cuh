// The parameters of a site of the plain memory (mixers/plain.h) on a GPU, its images, copies of
// rows.
//
//     open      numbers, and vectors times their gains, gathered from the flat array
//     add       their gradients: sums over the parts that blocks or warps left, in order
//     image     x = row / rms(row), W' = diag(gain) W; the products y = W' x are cuBLAS's
//
// Who computes what: a thread a number, but a warp the gradient of a number of the site, a block a
// row where it has a norm or a sum. Bytes: each number read and written once.
#pragma once

#include "core/runs.cuh"
#include "mixers/plain.cuh"

namespace plumb::gpu {

__device__ inline long thread_number() {
    return static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
}
inline Grid grid_of(long threads) {
    return {static_cast<unsigned>((threads + kRunThreads - 1) / kRunThreads), kRunThreads};
}

// ---- parameters ---------------------------------------------------------------------------------

template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    gather_numbers(long n, const Index* places, const Real* values, Real* out) {
    const long i = thread_number();
    if (i < n) out[i] = values[places[i]];
}

// out (n_vectors, C)
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    gather_vectors(long n, long C, const PlainVectorPlace* places, const Real* values, Real* out) {
    const long i = thread_number(), c = i % C;
    if (i >= n * C) return;
    const PlainVectorPlace at = places[i / C];
    const Real x = at.vector < 0 ? Real(1) : values[at.vector + c];
    out[i] = at.gain < 0 ? x : x * values[at.gain + c];
}

// dnumbers (n, warps): sums of `warps` numbers, in double.
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    add_numbers(long n, long warps, const Index* places, const Real* dnumbers, Real* gradients) {
    const long i = thread_number() / 32;
    double sum = 0;
    for (long w = lane_id(); i < n && w < warps; w += 32)
        sum += static_cast<double>(dnumbers[i * warps + w]);
#pragma unroll
    for (int m = 16; m > 0; m >>= 1) sum += __shfl_xor_sync(~0u, sum, m);
    if (i < n && lane_id() == 0) gradients[places[i]] += static_cast<Real>(sum);
}

// d (n_vectors, C), of the products of vector and gain. Two vectors may have one gain: a thread
// has a channel of all.
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    add_vectors(long n, long C, const PlainVectorPlace* places, const Real* values, const Real* d,
                Real* gradients) {
    const long c = thread_number();
    if (c >= C) return;
    for (long i = 0; i < n; ++i) {
        const PlainVectorPlace at = places[i];
        const Real dc = d[i * C + c];
        if (at.vector >= 0) gradients[at.vector + c] += at.gain < 0 ? dc : dc * values[at.gain + c];
        if (at.gain >= 0) gradients[at.gain + c] += at.vector < 0 ? dc : dc * values[at.vector + c];
    }
}

// ---- images -------------------------------------------------------------------------------------

// 1 / rms of a row of C numbers f(c), by a block.
template <class Real, class F>
__device__ inline Real rms_scale(long C, Real eps, BlockMemory<Real>& memory, F&& f) {
    Real square = 0;
    for (long c = threadIdx.x; c < C; c += blockDim.x) square += f(c) * f(c);
    return Real(1) / sqrt(block_sum(square, memory) / Real(C) + eps);
}

template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    image_normed(PlainRows<T> rows, int row, RealOf<T> eps, RealOf<T>* normed) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const long n = blockIdx.x;
    const auto x = [&](long c) { return rows.value(row, n, c); };
    const Real scale = rms_scale(rows.C, eps, memory, x);
    for (long c = threadIdx.x; c < rows.C; c += blockDim.x) normed[n * rows.C + c] = scale * x(c);
}

// out (C, C) = diag(gain) W
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    scale_matrix(long C, const Real* gain, const Real* w, Real* out) {
    const long i = thread_number();
    if (i < C * C) out[i] = gain ? gain[i / C] * w[i] : w[i];
}

// Of d = dW' (C, C), a block a row: dW += diag(gain) d, dgain += row sums of W d.
template <class Real>
__global__ void __launch_bounds__(kMostRowThreads)
    scale_matrix_backward(long C, const Real* gain, const Real* w, const Real* d, Real* dw,
                          Real* dgain) {
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const long o = blockIdx.x, first = o * C;
    const Real by = gain ? gain[o] : Real(1);
    Real sum = 0;
    for (long c = threadIdx.x; c < C; c += blockDim.x) {
        sum += d[first + c] * w[first + c];
        dw[first + c] += by * d[first + c];
    }
    if (!dgain) return;
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) dgain[o] += sum;
}

// From d (N, C), the gradient of x = normed = row / rms(row), to the row's. Adds.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    image_normed_backward(PlainRows<T> rows, int row, RealOf<T> eps, const RealOf<T>* normed,
                          const RealOf<T>* d) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    const long n = blockIdx.x;
    const Real scale =
        rms_scale(rows.C, eps, memory, [&](long c) { return rows.value(row, n, c); });
    normed += n * rows.C, d += n * rows.C;
    Real along = 0;
    for (long c = threadIdx.x; c < rows.C; c += blockDim.x) along += normed[c] * d[c];
    along = block_sum(along, memory) / Real(rows.C);
    for (long c = threadIdx.x; c < rows.C; c += blockDim.x)
        rows.gradient(row, n, c) += scale * (d[c] - normed[c] * along);
}

// ---- copies -------------------------------------------------------------------------------------

template <class Real, class T>
__global__ void __launch_bounds__(kRunThreads) round_numbers(long n, const Real* x, T* y) {
    const long i = thread_number();
    if (i < n) y[i] = static_cast<T>(x[i]);
}

// out (N, stride) at column `first` = a row.
template <class T>
__global__ void __launch_bounds__(kRunThreads)
    copy_plain_row(PlainRows<T> rows, int row, long first, long stride, RealOf<T>* out) {
    const long i = thread_number(), n = i / rows.C, c = i % rows.C;
    if (n < rows.N) out[n * stride + first + c] = rows.value(row, n, c);
}

}  // namespace plumb::gpu
