// Attention of new positions to a cache of keys and values: attention.h's definition, one query at
// a time. Keys are cached after norm, gain and rotation at their absolute position, channel by
// channel, so that scores of neighbouring positions are neighbours: with q in hand, D rows of the
// cache add up to all scores, and T rows of the values to the output, without a sum across lanes.
//
// Per new position, layer and head: 2 t D numbers read, 4 t D flops, t = positions so far. One task
// is a key head of one sequence with the query heads that share it; bits depend neither on the
// other sequences nor on threads.
#pragma once

#include "ops/attention.h"

namespace plumb {

// Positions `first` .. `first + count - 1` of every sequence: rows b * stride + i, i < count, of
// the tensors below. Rows from count on are ignored, and not written.
struct DecodeRows {
    Index first, count, stride;
};

// Positions a cache has room for: T, up to whole vectors.
Index cache_positions(Index context);

// Of one sublayer. keys (B, Hkv, D, cache_positions(T)), values (B, Hkv, T, D).
template <class T>
struct KeyValueCache {
    View<T> keys, values;
};

// Shared by all layers: cos and sin (T, D/2) of rope_table, scores (B Hkv, cache_positions(T)).
template <class Real>
struct DecodeWorkspace {
    View<const Real> cos, sin;
    View<Real> scores;
};

// qkv (B stride, (H + 2 Hkv) D): its q and k heads are overwritten. gains (D) or empty, as for
// attention(). Keys and values of these positions are added to the cache, which must hold those of
// 0 .. first-1; out (B stride, H D) is overwritten in these rows. Throws InternalError if shapes
// differ or positions go beyond T.
template <class T>
void attention_decode(const Context& ctx, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out);

// On a device, of arguments that fit.
template <class T>
void attention_decode(Cpu, const Context& ctx, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out);
template <class T>
void attention_decode(Cuda, const Context& ctx, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out);

}  // namespace plumb
