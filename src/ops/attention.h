// Causal multi-head attention with RoPE (Su et al. 2021), grouped key/value heads, optional RMSNorm
// of each query and key head and optional dropout of the weights, all on the packed projection qkv
// (N, (H + 2 Hkv) D), columns [q | k | v]. N = B*T, token n = b*T + t.
//
// RoPE turns the pairs (i, i + D/2) by t base^(-2i/D). Scores are q.k / sqrt(D). One task is the
// heads of one sequence that share a key head: they are copied to the thread's scratch, normed,
// turned and scaled on the way, so qkv stays as the projection made it. Tiles of queries meet only
// the keys at or before them; forward keeps the log-sum-exp of each row, backward computes the
// weights again. Activations are stored in T, everything between is RealOf<T>. Which kernel runs on
// a CPU: ops/attention_kernel.h.
#pragma once

#include "ops/dropout.h"

namespace plumb {

struct AttentionShape {
    Index batch, context;             // B, T
    Index heads, kv_heads, head_dim;  // H, Hkv, D
    Index tokens() const { return batch * context; }
    Index qk_width() const { return (heads + kv_heads) * head_dim; }
    Index qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
    Index out_width() const { return heads * head_dim; }
    // The columns of qkv that are queries, keys, values: parts 0, 1, 2.
    Index part_begin(int part) const {
        return part == 0 ? 0 : (heads + (part - 1) * kv_heads) * head_dim;
    }
    Index part_width(int part) const { return (part == 0 ? heads : kv_heads) * head_dim; }
};

// Query rows handled at once. A block of a GPU's kernels has as many rows, half or a quarter.
inline constexpr Index kAttentionTile = 64;
inline constexpr int kLeastAttentionTile = 16;

// Memory every call needs, shared by all layers: cos and sin (T, D/2), scratch (attention_scratch),
// partial sums of the gains' gradients, unused without gains.
template <class Real>
struct AttentionWorkspace {
    View<Real> cos, sin, scratch, dgain;
};

// Of AttentionWorkspace::scratch on a CPU: numbers of each thread, by the kernels of this process.
Index attention_scratch(const AttentionShape& s);

// On a GPU: what tensor cores run in bf16 (ops/attention_mma.cuh) needs in all; others nothing.
inline bool attention_on_tensor_cores(const AttentionShape& s) {
    return s.head_dim % 8 == 0 && s.head_dim <= 128;
}
// delta (B, H, T), whose room is a multiple of 128 bytes, then the heads of q and k in bf16.
inline constexpr Index delta_room(Index numbers) { return (numbers + 31) / 32 * 32; }
template <class T>
Index attention_gpu_scratch(const AttentionShape& s);

// Of AttentionWorkspace::dgain: (B, Hkv, 2 D); on a GPU (blocks, D), those of queries, then of
// keys.
Shape attention_dgain(const AttentionShape& s, Device device);

// Fills cos and sin, on any device.
template <class Real>
void rope_table(double base, View<Real> cos, View<Real> sin);

// gains (D) of queries and keys, or empty for no norm. out (N, H D), lse (B, H, T): overwritten.
// Row (b H + h) T + t of the dropout's mask belongs to query t of head h, column j to key j.
template <class T>
void attention(const Context& ctx, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout = {});

// dout (N, H D) -> dqkv (N, (H + 2 Hkv) D), overwritten; dgain_q, dgain_k (D) += . qkv, out and lse
// as forward took and left them.
template <class T>
void attention_backward(const Context& ctx, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout = {});

// On a device, of arguments that fit.
template <class T>
void attention(Cpu, const Context& ctx, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout);
template <class T>
void attention(Cuda, const Context& ctx, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout);
template <class T>
void attention_backward(Cpu, const Context& ctx, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout);
template <class T>
void attention_backward(Cuda, const Context& ctx, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout);

}  // namespace plumb
