#include "core/dispatch.h"

#ifdef PLUMB_HAVE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace plumb {

std::string cuda_devices() {
    std::string text;
#ifdef PLUMB_HAVE_CUDA
    int n = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess) return text;
    for (int i = 0; i < n; ++i) {
        cudaDeviceProp p{};
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
        text += fmt::format("{}{} ({:.1f} GiB)", i ? "\n" : "", p.name,
                            static_cast<double>(p.totalGlobalMem) / (1 << 30));
    }
#endif
    return text;
}

}  // namespace plumb
