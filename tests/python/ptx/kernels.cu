// The kernels that tests/python/test_ptx.py interprets: nvcc compiles what is named here.
#include "mixers/memories/averages.cuh"
#include "mixers/memories/running_row_token.cuh"
#include "mixers/memories/sources_backward.cuh"
#include "mixers/memories/sources_sums.cuh"
#include "mixers/memories/stream_write_dots.cuh"
#include "mixers/plain_parameters.cuh"
#include "mixers/scalar_program.cuh"
#include "ops/activation.cuh"
#include "ops/adamw.cuh"
#include "ops/attention_decode.cuh"
#include "ops/attention_mma_backward.cuh"
#include "ops/columns.cuh"
#include "ops/cross_entropy.cuh"
#include "ops/dropout.cuh"
#include "ops/embedding.cuh"
#include "ops/linear.cuh"
#include "ops/linear_decode.cuh"
#include "ops/muon.cuh"
#include "ops/step_scalars.cuh"

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
    PLUMB_KERNEL(sources_read<float, 5, 2, 3, 4, true>),  // of the library: for widths
    PLUMB_KERNEL(sources_pull<Bf16, 2, 1, 2, 4, true, true>),
    PLUMB_KERNEL(sources_pull<float, 1, 1, 4, 4, false, false>),
    PLUMB_KERNEL(sources_spread<Bf16, 1, 2, 4, true, true>),
    PLUMB_KERNEL(sources_spread<float, 1, 4, 4, false, false>),
    PLUMB_KERNEL(streams_write<Bf16, 4, 1, true>),
    PLUMB_KERNEL(streams_write<float, 2, 1, false>),
    PLUMB_KERNEL(pack_vectors<Bf16>),
    PLUMB_KERNEL(pack_vectors<float>),
    PLUMB_KERNEL(pack_fragments<Bf16>),
    PLUMB_KERNEL(place_dots<Bf16>),
    PLUMB_KERNEL(place_dots<float>),
    PLUMB_KERNEL(sum_slabs<float>),
    PLUMB_KERNEL(dots_backward<Bf16, 4, true>),
    PLUMB_KERNEL(dots_backward<float, 2, false>),
    PLUMB_KERNEL(streams_write_dots<4, 3, true>),
    PLUMB_KERNEL(streams_write_dots<2, 1, false>),
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
    PLUMB_KERNEL(attention_forward<32, true>),
    PLUMB_KERNEL(attention_forward<128, false>),
    PLUMB_KERNEL(attention_mma_dq<32, false>),
    PLUMB_KERNEL(attention_mma_dq<64, false>),
    PLUMB_KERNEL(attention_mma_dq<32, true>),
    PLUMB_KERNEL(attention_mma_dq<128, false>),
    PLUMB_KERNEL(attention_mma_dkv<32, false>),
    PLUMB_KERNEL(attention_mma_dkv<64, false>),
    PLUMB_KERNEL(attention_mma_dkv<32, true>),
    PLUMB_KERNEL(attention_mma_dkv<128, false>),
    PLUMB_KERNEL(weighted_read<Bf16, 1, true, false>),
    PLUMB_KERNEL(weighted_read<float, 1, false, true>),
    PLUMB_KERNEL(weighted_read_backward<Bf16, 1, true, false>),
    PLUMB_KERNEL(weighted_read_backward<float, 1, false, true>),
    PLUMB_KERNEL(take_write_back<float>),
    PLUMB_KERNEL(token_read<Bf16, 1, true>),
    PLUMB_KERNEL(token_read_backward<Bf16, 1, true, true>),
    PLUMB_KERNEL(average_read<Bf16, 1, true>),
    PLUMB_KERNEL(average_read<float, 1, false>),
    PLUMB_KERNEL(average_read_backward<Bf16, 1, true>),
    PLUMB_KERNEL(average_read_backward<float, 1, false>),
    PLUMB_KERNEL(sum_rows<Bf16, true>),
    PLUMB_KERNEL(site_products<float>),
    PLUMB_KERNEL(sources_du<Bf16, true>),
    PLUMB_KERNEL(sources_du<float, false>),
    PLUMB_KERNEL(scalars_forward<float>),
    PLUMB_KERNEL(scalars_backward<float>),
    PLUMB_KERNEL(gather_numbers<float>),
    PLUMB_KERNEL(gather_vectors<float>),
    PLUMB_KERNEL(add_numbers<float>),
    PLUMB_KERNEL(add_vectors<float>),
    PLUMB_KERNEL(image_normed<Bf16>),
    PLUMB_KERNEL(image_normed_backward<Bf16>),
    PLUMB_KERNEL(scale_matrix<float>),
    PLUMB_KERNEL(scale_matrix_backward<float>),
    PLUMB_KERNEL(round_numbers<float, Bf16>),
    PLUMB_KERNEL(copy_plain_row<Bf16>),
    PLUMB_KERNEL(spread_gradients<Bf16>),
    PLUMB_KERNEL(spread_gradients<float>),
    PLUMB_KERNEL(sum_totals<float>),
    PLUMB_KERNEL(add_stream_vectors<Bf16>),
    PLUMB_KERNEL(add_stream_vectors<float>),
    PLUMB_KERNEL(embed<Bf16, true>),
    PLUMB_KERNEL(embed<float, false>),
    PLUMB_KERNEL(embed_backward<Bf16, true>),
    PLUMB_KERNEL(embed_backward<float, false>),
    PLUMB_KERNEL(gain_runs<Bf16, true>),
    PLUMB_KERNEL(gain_runs<float, false>),
    PLUMB_KERNEL(value_runs<Bf16, true>),
    PLUMB_KERNEL(value_runs<float, false>),
    PLUMB_KERNEL(norm_gradient_rows<Bf16, 1, true>),
    PLUMB_KERNEL(norm_gradient_rows<float, 1, false>),
    PLUMB_KERNEL(find_overflow<float>),
    PLUMB_KERNEL(activate<Swiglu, Bf16, true>),
    PLUMB_KERNEL(activate<Gelu, float, false>),
    PLUMB_KERNEL(activate_backward<Swiglu, Bf16, true>),
    PLUMB_KERNEL(activate_backward<Gelu, float, false>),
    PLUMB_KERNEL(cross_entropy_rows<Bf16, 8, true>),
    PLUMB_KERNEL(cross_entropy_rows<float, 1, true>),
    PLUMB_KERNEL(cross_entropy_rows<float, 8, false>),
    PLUMB_KERNEL(count_scored),
    PLUMB_KERNEL(mean_of<float>),
    PLUMB_KERNEL(adamw_runs<float, true>),
    PLUMB_KERNEL(adamw_runs<float, false>),
    PLUMB_KERNEL(look_ahead_runs<float, true>),
    PLUMB_KERNEL(normalise_runs<float, true>),
    PLUMB_KERNEL(add_to_diagonal<float>),
    PLUMB_KERNEL(update_runs<float, true>),
    PLUMB_KERNEL(copy_runs<Bf16, true>),
    PLUMB_KERNEL(copy_runs<Bf16, false>),
    PLUMB_KERNEL(widen_runs<Bf16, true>),
    PLUMB_KERNEL(add_columns<float>),
    PLUMB_KERNEL(dot_runs<Bf16, true>),
    PLUMB_KERNEL(dot_runs<float, false>),
    PLUMB_KERNEL(count_not_finite<float, true>),
    PLUMB_KERNEL(add_blocks),
    PLUMB_KERNEL(drop<Bf16, true>),
    PLUMB_KERNEL(drop<float, false>),
    PLUMB_KERNEL(add_runs<Bf16, Bf16, true>),
    PLUMB_KERNEL(add_runs<float, Bf16, false>),
    PLUMB_KERNEL(add_runs_backward<Bf16, true>),
    PLUMB_KERNEL(add_runs_backward<float, false>),
    PLUMB_KERNEL(decode_heads<Bf16>),
    PLUMB_KERNEL(decode<Bf16>),
    PLUMB_KERNEL(linear_decode<Bf16, true>),
    PLUMB_KERNEL(linear_decode<float, false>),
    PLUMB_KERNEL(round_weights<true>),
    PLUMB_KERNEL(count_step_loss),
    PLUMB_KERNEL(clip_step),
};

}  // namespace plumb::gpu
