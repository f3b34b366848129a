// launch(): the one way to start a kernel, and check(): the one way to call the CUDA runtime.
//
//     launch(stream, "sources_read", sources_read<Bf16, 1, true>, {blocks, threads}, args...);
//
// Arguments are converted to the kernel's parameter types here, so that a call that would not
// compile as kernel<<<>>>(args) does not compile here either. An error names the kernel. With
// PLUMB_SYNC=1 in the environment every launch is waited for, so that a kernel that faults is the
// one that is named.
//
// Kernels, and this, also compile as C++ for the emulated device (emulated/device.h), which brings
// a cuda_runtime.h of its own.
#pragma once

#include <cuda_runtime.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace plumb::gpu {

struct CudaError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void check(cudaError_t e, const char* what) {
    if (e == cudaSuccess) return;
    std::string text = std::string(what) + ": " + cudaGetErrorString(e);
#ifdef PLUMB_EMULATED_CUDA
    text += "; " + emulated::take_error();
#endif
    throw CudaError(text);
}

struct Grid {
    unsigned blocks, threads;
    std::size_t shared = 0;  // dynamic, bytes
};

inline bool waits_for_every_launch() {
    static const bool waits = [] {
        const char* text = std::getenv("PLUMB_SYNC");
        return text && std::string(text) == "1";
    }();
    return waits;
}

#ifndef PLUMB_EMULATED_CUDA
// A block gets 48 KiB unasked, what it declares statically counted in.
inline void allow_shared(const void* kernel, std::size_t dynamic, const char* name) {
    if (dynamic > 0)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(dynamic)),
              name);
}
#endif

template <class... P, class... A>
void launch(cudaStream_t stream, const char* name, void (*kernel)(P...), const Grid& grid,
            A&&... args) {
    static_assert(sizeof...(P) == sizeof...(A), "the kernel takes another number of arguments");
    std::tuple<std::remove_cv_t<P>...> values(static_cast<P>(std::forward<A>(args))...);
#ifndef PLUMB_EMULATED_CUDA
    const void* function = reinterpret_cast<const void*>(kernel);
    allow_shared(function, grid.shared, name);
    std::apply(
        [&](auto&... v) {
            void* pointers[] = {static_cast<void*>(&v)..., nullptr};
            check(cudaLaunchKernel(function, grid.blocks, grid.threads, pointers, grid.shared,
                                   stream),
                  name);
        },
        values);
#else
    check(emulated::launch(stream, name, grid.blocks, grid.threads, grid.shared, kernel, values),
          name);
#endif
    if (waits_for_every_launch()) check(cudaStreamSynchronize(stream), name);
}

}  // namespace plumb::gpu
