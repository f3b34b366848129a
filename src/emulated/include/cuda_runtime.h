// The part of CUDA that Plumb uses, on the emulated device (emulated/device.h): names, arguments
// and error codes are CUDA's, so that the same text compiles with nvcc against the real header.
//
// What CUDA has and this has not is not used in Plumb, on purpose: the default stream and the calls
// that imply it (cudaMemcpy), which order work in ways that nobody sees; atomics, whose sums depend
// on chance; __activemask.
#pragma once

#include "emulated/device.h"
#include "emulated/ptx.h"

#include <math.h>

// ---- what the host calls ------------------------------------------------------------------------

cudaError_t cudaGetDeviceCount(int* n);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device);
const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaGetLastError();

cudaError_t cudaMalloc(void** p, std::size_t bytes);
cudaError_t cudaFree(void* p);
cudaError_t cudaMallocHost(void** p, std::size_t bytes);
cudaError_t cudaFreeHost(void* p);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t);
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t);

cudaError_t cudaStreamCreate(cudaStream_t*);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaEventCreate(cudaEvent_t*);
inline constexpr unsigned cudaEventDisableTiming = 2;
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t, cudaGraph_t, cudaGraphExecUpdateResultInfo*);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);

// ---- what a kernel is written with --------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (::emulated::thread_index)
#define blockIdx (::emulated::block_index)
#define blockDim (::emulated::block_size)
#define gridDim (::emulated::grid_size)

inline void __syncthreads(emulated::Site at = emulated::Site::current()) {
    emulated::block_barrier(at);
}
inline void __syncwarp(unsigned mask = ~0u, emulated::Site at = emulated::Site::current()) {
    emulated::warp_exchange(emulated::WarpOp::sync, mask, 0, at);
}

// Lane l gets the value of lane `of(l)`; where that lies outside of its `width` lanes, its own.
template <class T, class F>
T emulated_shuffle(unsigned mask, T value, int width, emulated::Site at, F&& of) {
    const std::uint64_t* all =
        emulated::warp_exchange(emulated::WarpOp::shuffle, mask, emulated::to_bits(value), at);
    const int self = emulated::lane(), first = self & ~(width - 1), from = of(self, first);
    if (!(mask >> (from & 31) & 1u))
        emulated::fail_here("a shuffle reads from a lane that is not in its mask", at);
    return emulated::from_bits<T>(all[from]);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              emulated::Site at = emulated::Site::current()) {
    return emulated_shuffle(mask, value, width, at,
                            [&](int, int first) { return first + (from & (width - 1)); });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  emulated::Site at = emulated::Site::current()) {
    return emulated_shuffle(mask, value, width, at, [&](int self, int first) {
        return (self ^ bits) < first + width ? self ^ bits : self;
    });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   emulated::Site at = emulated::Site::current()) {
    return emulated_shuffle(mask, value, width, at, [&](int self, int first) {
        return self + static_cast<int>(by) < first + width ? self + static_cast<int>(by) : self;
    });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 emulated::Site at = emulated::Site::current()) {
    return emulated_shuffle(mask, value, width, at, [&](int self, int first) {
        return self - static_cast<int>(by) >= first ? self - static_cast<int>(by) : self;
    });
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              emulated::Site at = emulated::Site::current()) {
    const std::uint64_t* all =
        emulated::warp_exchange(emulated::WarpOp::ballot, mask, predicate != 0, at);
    unsigned votes = 0;
    for (unsigned i = 0; i < 32; ++i)
        if ((mask >> i & 1u) && all[i]) votes |= 1u << i;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, emulated::Site at = emulated::Site::current()) {
    return __ballot_sync(mask, predicate, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, emulated::Site at = emulated::Site::current()) {
    return __ballot_sync(mask, predicate, at) == mask;
}
