// Attention on tensor cores (ops/attention_mma.cuh), of any head size: what is launched, in order.
// Apart from the kernels: who includes this compiles them for all sizes.
#pragma once

#include "ops/attention_mma_backward.cuh"

namespace plumb::gpu {

// f(Dp, drops), Dp the head size rounded up.
template <class F>
void with_kernels(const AttentionArgs<Bf16>& a, F&& f) {
    using std::integral_constant;
    const auto with = [&](auto dim) {
        if (a.dropout.threshold == 0) return f(dim, std::false_type{});
        f(dim, std::true_type{});
    };
    if (a.dim <= 32) return with(integral_constant<int, 32>{});
    if (a.dim <= 64) return with(integral_constant<int, 64>{});
    with(integral_constant<int, 128>{});
}
inline Grid mma_tiles(const AttentionArgs<Bf16>& a, int heads, long numbers) {
    return {static_cast<unsigned>(attention_blocks(a, heads, kMmaRows)), kMmaThreads,
            static_cast<std::size_t>(numbers) * sizeof(Bf16)};
}
inline Grid mma_rows(const AttentionArgs<Bf16>& a, int heads) {
    return {static_cast<unsigned>((a.batch * a.context * heads + kMmaWarps - 1) / kMmaWarps),
            kMmaThreads};
}
inline MmaScratch mma_scratch(const AttentionArgs<Bf16>& a, float* scratch) {
    return {scratch, reinterpret_cast<Bf16*>(scratch + delta_room(a.batch * a.heads * a.context))};
}

inline void attention_mma(cudaStream_t stream, const AttentionArgs<Bf16>& a, float* scratch,
                          Bf16* out, float* lse) {
    const MmaScratch work = mma_scratch(a, scratch);
    launch(stream, "attention_turn", attention_turn, mma_rows(a, a.heads + a.kv_heads), a, work);
    with_kernels(a, [&](auto dim, auto drops) {
        launch(stream, "attention_forward", attention_forward<dim, drops>,
               mma_tiles(a, a.heads, 3 * HalfTile<dim>::numbers(kMmaRows)), a, work, out, lse);
    });
}

// dgain_q and dgain_k (D) += , from g's scratch.
inline void attention_mma_backward(cudaStream_t stream, const AttentionArgs<Bf16>& a,
                                   const AttentionGradients<Bf16>& g, float* scratch,
                                   float* dgain_q, float* dgain_k) {
    const MmaScratch work = mma_scratch(a, scratch);
    launch(stream, "attention_turn", attention_turn, mma_rows(a, a.heads + a.kv_heads), a, work);
    launch(stream, "attention_delta", attention_delta, mma_rows(a, a.heads), a, g.dout, g.out,
           work);
    with_kernels(a, [&](auto dim, auto drops) {
        const long numbers = 4 * HalfTile<dim>::numbers(kMmaRows);
        const Grid queries = mma_tiles(a, a.heads, numbers),
                   keys = mma_tiles(a, a.kv_heads, numbers);
        launch(stream, "attention_mma_dq", attention_mma_dq<dim, drops>, queries, a, g, work);
        if (a.gain_q) add_partials<float>(stream, queries.blocks, a.dim, g.dgain, dgain_q);
        launch(stream, "attention_mma_dkv", attention_mma_dkv<dim, drops>, keys, a, g, work);
        if (a.gain_k) add_partials<float>(stream, keys.blocks, a.dim, g.dgain, dgain_k);
    });
}

}  // namespace plumb::gpu
