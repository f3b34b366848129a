// The kernels that tests/python/test_ptx.py interprets: nvcc compiles what is named here.
#include "mixers/memories/running_row.cuh"
#include "mixers/memories/sinkhorn.cuh"
#include "mixers/memories/sources_backward.cuh"
#include "mixers/memories/streams.cuh"
#include "mixers/plain.cuh"
#include "ops/attention_mma_backward.cuh"

namespace plumb::gpu {

// d (16, 8) = a (16, 16) b (16, 8), by a warp. a, b: pairs of neighbours in a row of a, in a column
// of b^T.
__global__ void warp_product(const unsigned* a, const unsigned* b, float* d) {
    const int g = lane_id() / 4, t = lane_id() % 4;
    const unsigned x[4] = {a[8 * g + t], a[8 * (g + 8) + t], a[8 * g + t + 4],
                           a[8 * (g + 8) + t + 4]};
    const unsigned y[2] = {b[8 * g + t], b[8 * g + t + 4]};
    float sum[4] = {};
    mma_16x8x16(sum, x, y);
    for (int i = 0; i < 4; ++i) d[8 * (g + 8 * (i / 2)) + 2 * t + i % 2] = sum[i];
}

#define PLUMB_KERNEL(...) reinterpret_cast<const void*>(__VA_ARGS__)
const void* const kernels[] = {
    PLUMB_KERNEL(warp_product),
    PLUMB_KERNEL(running_read<Bf16, 1, true>),
    PLUMB_KERNEL(running_read<float, 1, false>),
    PLUMB_KERNEL(running_read_backward<Bf16, 1, true, true>),
    PLUMB_KERNEL(running_read_backward<float, 1, false, false>),
    PLUMB_KERNEL(sources_read<Bf16, 1, 1, 3, 3, true>),
    PLUMB_KERNEL(sources_read<Bf16, 3, 1, 2, 3, true>),
    PLUMB_KERNEL(sources_read<float, 5, 2, 2, 2, false>),
    PLUMB_KERNEL(sources_pull<Bf16, 2, 1, 2, 4, true, true>),
    PLUMB_KERNEL(sources_pull<float, 1, 1, 4, 4, false, false>),
    PLUMB_KERNEL(sources_spread<Bf16, 1, 2, 4, true, true>),
    PLUMB_KERNEL(sources_spread<float, 1, 4, 4, false, false>),
    PLUMB_KERNEL(streams_write<Bf16, 4, 1, true>),
    PLUMB_KERNEL(streams_write<float, 2, 1, false>),
    PLUMB_KERNEL(streams_read<Bf16, 4, 1, true>),
    PLUMB_KERNEL(streams_read<float, 2, 1, false>),
    PLUMB_KERNEL(streams_backward<Bf16, 4, 1, 2, true, true>),
    PLUMB_KERNEL(streams_backward<float, 2, 1, 2, false, false>),
    PLUMB_KERNEL(sinkhorn<float, 4>),
    PLUMB_KERNEL(sinkhorn_backward<float, 4>),
    PLUMB_KERNEL(plain_dots<Bf16>),
    PLUMB_KERNEL(plain_dots<float>),
    PLUMB_KERNEL(plain_dots_backward<Bf16>),
    PLUMB_KERNEL(plain_dots_backward<float>),
    PLUMB_KERNEL(plain_read<Bf16>),
    PLUMB_KERNEL(plain_read<float>),
    PLUMB_KERNEL(plain_read_backward<Bf16>),
    PLUMB_KERNEL(plain_read_backward<float>),
    PLUMB_KERNEL(plain_write<Bf16>),
    PLUMB_KERNEL(plain_write<float>),
    PLUMB_KERNEL(plain_write_backward<Bf16>),
    PLUMB_KERNEL(plain_write_backward<float>),
    PLUMB_KERNEL(attention_tiles<Bf16, 16>),
    PLUMB_KERNEL(attention_tiles<float, 32>),
    PLUMB_KERNEL(attention_dq<Bf16, 16>),
    PLUMB_KERNEL(attention_dq<float, 32>),
    PLUMB_KERNEL(attention_dkv<Bf16, 16>),
    PLUMB_KERNEL(attention_dkv<float, 32>),
    PLUMB_KERNEL(attention_turn),
    PLUMB_KERNEL(attention_delta),
    PLUMB_KERNEL(attention_forward<32, false>),
    PLUMB_KERNEL(attention_forward<64, false>),
    PLUMB_KERNEL(attention_mma_dq<32, false>),
    PLUMB_KERNEL(attention_mma_dq<64, false>),
    PLUMB_KERNEL(attention_mma_dkv<32, false>),
    PLUMB_KERNEL(attention_mma_dkv<64, false>),
};

}  // namespace plumb::gpu
