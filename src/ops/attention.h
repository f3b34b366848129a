// Causal multi-head attention with RoPE (Su et al. 2021), grouped key/value heads and optional
// RMSNorm of each query and key head, all on the packed projection qkv (N, (H + 2 Hkv) D),
// columns [q | k | v]. N = B*T, token n = b*T + t.
//
// RoPE turns the pairs (i, i + D/2) by t base^(-2i/D). Scores are q.k / sqrt(D). Tiles of queries
// meet only the keys at or before them; forward keeps the log-sum-exp of each row, backward
// computes the weights again.
#pragma once

#include "core/context.h"

namespace plumb {

struct AttentionShape {
    Index batch, context;             // B, T
    Index heads, kv_heads, head_dim;  // H, Hkv, D
    Index tokens() const { return batch * context; }
    Index qk_width() const { return (heads + kv_heads) * head_dim; }
    Index qkv_width() const { return (heads + 2 * kv_heads) * head_dim; }
    Index out_width() const { return heads * head_dim; }
};

// Query rows handled at once.
inline constexpr Index kAttentionTile = 64;

// Memory every call needs, shared by all layers: scores (threads, 2, tile, T), cos and sin (T,
// D/2), rotated queries and keys qk (N, (H + Hkv) D) and their gradient dqk.
template <class Real>
struct AttentionWorkspace {
    View<Real> scores, cos, sin, qk, dqk;
};

// Fills cos and sin.
template <class Real>
void rope_table(double base, View<Real> cos, View<Real> sin);

// gains: (2, D) rows q, k, or empty for no norm. With gains, qkv's q and k heads are replaced by
// their normed values (before gain) and rstd (N, H + Hkv) is written; backward needs both.
// out (N, H D), lse (B, H, T): overwritten.
template <class Real>
void attention(const Context& ctx, const AttentionShape& s, View<Real> qkv, View<const Real> gain_q,
               View<const Real> gain_k, Real eps, View<Real> rstd, View<Real> out, View<Real> lse,
               const AttentionWorkspace<Real>& work);

// dout (N, H D) -> dqkv (N, (H + 2 Hkv) D), overwritten; dgain_q, dgain_k (D) += .
template <class Real>
void attention_backward(const Context& ctx, const AttentionShape& s, View<const Real> dout,
                        View<const Real> qkv, View<const Real> gain_q, View<const Real> gain_k,
                        View<const Real> rstd, View<const Real> out, View<const Real> lse,
                        View<Real> dqkv, View<Real> dgain_q, View<Real> dgain_k,
                        const AttentionWorkspace<Real>& work);

}  // namespace plumb
