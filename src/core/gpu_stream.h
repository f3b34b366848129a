// The stream on which everything runs that Plumb asks of a GPU, or, while gpu::beside() asks, the
// second one: for what starts kernels or calls the CUDA runtime. The first call makes it; CudaError
// where there is no device.
#pragma once

#include <cuda_runtime_api.h>

namespace plumb::gpu {

cudaStream_t stream();

}  // namespace plumb::gpu
