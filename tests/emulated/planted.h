// Kernels with one mistake each, and right ones beside them, for what the emulated device must see.
#pragma once

#include "core/row.cuh"
#include "gpu/device_buffer.h"

#include <string>
#include <vector>

namespace plumb::test {

using namespace plumb::gpu;

inline constexpr std::uint64_t kOrders[] = {0, 1, 2, 3, 7};

// x (blocks threads) -> y: each thread the sum of its block's.
template <bool barrier>
__global__ void block_sum(const float* x, float* y) {
    using Parts = float[32];
    PLUMB_SHARED(Parts, part);
    float own[1] = {x[blockIdx.x * blockDim.x + threadIdx.x]};
    const float of_warp = warp_sums<1>(own);
    if (lane_id() == 0) part[threadIdx.x / 32] = of_warp;
    if constexpr (barrier) __syncthreads();
    float sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += part[w];
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
// The same twice over one array, right only if nobody is still at the first sum.
template <bool second_barrier>
__global__ void two_sums(float* y) {
    using Parts = float[32];
    PLUMB_SHARED(Parts, part);
    float sum = 0;
    for (int turn = 0; turn < 2; ++turn) {
        if (lane_id() == 0) part[threadIdx.x / 32] = static_cast<float>(turn + 1);
        __syncthreads();
        for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += part[w];
        if constexpr (second_barrier) __syncthreads();
    }
    y[threadIdx.x] = sum;
}
// Lane 0 writes, all read; a shuffle lies between, which orders no memory, or __syncwarp.
template <bool sync>
__global__ void after_a_shuffle(float* y) {
    using One = float[1];
    PLUMB_SHARED(One, shared);
    if (lane_id() == 0) shared[0] = 5;
    if constexpr (sync)
        __syncwarp();
    else
        __shfl_sync(~0u, 1, 0);
    y[threadIdx.x] = shared[0];
}
inline __global__ void in_one_branch(float* y) {
    if (threadIdx.x < 40) __syncthreads();
    y[threadIdx.x] = 1;
}
inline __global__ void in_two_branches(float* y) {
    if (threadIdx.x < 64)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}
inline __global__ void after_return(int n, float* y) {
    if (static_cast<int>(threadIdx.x) >= n) return;
    __syncthreads();
    y[threadIdx.x] = 1;
}
inline __global__ void part_of_a_warp(float* y) {
    float x = 1;
    if (lane_id() < 20) x = __shfl_xor_sync(~0u, x, 1);
    y[threadIdx.x] = x;
}
inline __global__ void other_masks(float* y) {
    y[threadIdx.x] = __shfl_sync(lane_id() < 16 ? 0xffffu : ~0u, 1.0f, 0);
}
inline __global__ void other_operations(float* y) {
    float x = 1;
    if (lane_id() < 16)
        x = __shfl_sync(~0u, x, 0);
    else
        x = static_cast<float>(__any_sync(~0u, 1));
    y[threadIdx.x] = x;
}
inline __global__ void without_itself(float* y) { y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 0); }
inline __global__ void from_outside(float* y) {
    if (lane_id() < 16) y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);
}
inline __global__ void half_warps(float* y) {  // each half by itself: right
    const unsigned mask = lane_id() < 16 ? 0xffffu : 0xffff0000u;
    float x = static_cast<float>(lane_id());
    for (int m = 8; m > 0; m >>= 1) x += __shfl_xor_sync(mask, x, m, 16);
    y[threadIdx.x] = x;
}

inline __global__ void one_further(float* y) { y[threadIdx.x + 1] = 1; }
inline __global__ void read_one_further(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
inline __global__ void one_address(float* y) { y[0] = y[1] + static_cast<float>(blockIdx.x); }
inline __global__ void never_written(float* y) {
    using Parts = float[64];
    PLUMB_SHARED(Parts, part);
    y[threadIdx.x] = part[threadIdx.x];
}
inline __global__ void increment(float* x) { x[0] += 1; }
inline __global__ void past_dynamic(int n, float* y) {
    float* shared = static_cast<float*>(emulated::shared_dynamic());
    for (int i = 0; i < n; ++i) shared[i] = 1;
    y[0] = shared[0];
}
inline __global__ void too_much_static(float* y) {
    using Much = float[13000];
    PLUMB_SHARED(Much, much);
    y[0] = much[0] = 1;
}
inline int deep(volatile char* p, int n) {
    volatile char own[1000];
    own[0] = p[0];
    return n ? deep(own, n - 1) + own[0] : own[0];
}
inline __global__ void deep_stack(float* y) {
    volatile char c = 1;
    y[0] = static_cast<float>(deep(&c, 1000));
}
inline __global__ void not_aligned(float* y) {
    using Four [[gnu::vector_size(16)]] = float;
    *reinterpret_cast<volatile Four*>(y + 1) = Four{};
}
struct Pointers {
    int n;
    const float* x;
};
inline __global__ void of_struct(Pointers p, float* y) { y[threadIdx.x] = p.x[threadIdx.x]; }

// What goes wrong in f or in the work that it leaves, "" if nothing does.
template <class F>
std::string error_of(F&& f) {
    std::string text;
    try {
        f();
        check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    } catch (const CudaError& e) {
        text = e.what();
    }
    emulated::take_error();
    return text;
}
inline std::vector<double> ones(std::size_t n) { return std::vector<double>(n, 1.0); }

// "planted.h:73": the first line from the one with `kernel(` on that holds `part`.
std::string line_with(const std::string& kernel, const std::string& part, int nth = 1);

// Runs a test of this program by its name in a process of its own.
struct Ended {
    int code;          // exit status; 128 + the signal if one ended it
    std::string text;  // stdout and stderr
};
Ended run_alone(const std::string& test, const std::string& order = "1");

}  // namespace plumb::test
