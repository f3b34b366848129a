#include "ops/attention_decode.h"

#include "ops/depth_mix.h"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

constexpr Index kLanes = 16;  // positions that are scored at once, the unseen ones of the last too

// One query or key head as it is compared: normed, times gain, turned to position t.
template <class T, class Real>
void prepare(T* x, View<const Real> gain, Real eps, const Real* cos, const Real* sin, Index d) {
    if (gain) {
        Real square = 0;
#pragma omp simd reduction(+ : square)
        for (Index i = 0; i < d; ++i) square += x[i] * x[i];
        const Real r = Real(1) / std::sqrt(square / static_cast<Real>(d) + eps);
        for (Index i = 0; i < d; ++i) x[i] = x[i] * r * gain.data[i];
    }
    const Index half = d / 2;
    for (Index i = 0; i < half; ++i) {
        const Real a = x[i], b = x[i + half];
        x[i] = a * cos[i] - b * sin[i];
        x[i + half] = b * cos[i] + a * sin[i];
    }
}

// scores[t] = scale <q, key t> for t < padded, from keys (d, stride). Channels go in fours, so that
// scores are loaded and stored once for each.
template <class T, class Real>
void score(const T* q, const T* keys, Index stride, Index d, Index padded, Real scale,
           Real* scores) {
    std::fill(scores, scores + padded, Real(0));
    Index i = 0;
    for (; i + 4 <= d; i += 4) {
        const Real a = q[i] * scale, b = q[i + 1] * scale, c = q[i + 2] * scale,
                   e = q[i + 3] * scale;
        const T *k0 = keys + i * stride, *k1 = k0 + stride, *k2 = k1 + stride, *k3 = k2 + stride;
#pragma omp simd
        for (Index t = 0; t < padded; ++t)
            scores[t] += (a * k0[t] + b * k1[t]) + (c * k2[t] + e * k3[t]);
    }
    for (; i < d; ++i) {
        const Real a = q[i] * scale;
        const T* k = keys + i * stride;
#pragma omp simd
        for (Index t = 0; t < padded; ++t) scores[t] += a * k[t];
    }
}

template <class Real>
void softmax(Real* scores, Index seen) {
    Eigen::Map<Eigen::Array<Real, 1, Eigen::Dynamic>> p(scores, seen);
    p = (p - p.maxCoeff()).exp();
    p *= Real(1) / p.sum();
}

}  // namespace

Index cache_positions(Index context) { return (context + kLanes - 1) / kLanes * kLanes; }

template <class T>
void attention_decode(Cpu, const Context& ctx, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out) {
    using Real = RealOf<T>;
    const Index d = s.head_dim, group = s.heads / s.kv_heads, room = cache_positions(s.context);
    const Real scale = Real(1) / std::sqrt(static_cast<Real>(d));
    const auto task = [&](Index b, Index kv) {
        T* keys = cache.keys.data + (b * s.kv_heads + kv) * d * room;
        T* values = cache.values.data + (b * s.kv_heads + kv) * s.context * d;
        Real* scores = work.scores.row(b * s.kv_heads + kv);
        for (Index i = 0; i < rows.count; ++i) {
            const Index t = rows.first + i;
            T* k = qkv.row(b * rows.stride + i) + (s.heads + kv) * d;
            prepare(k, gain_k, eps, work.cos.row(t), work.sin.row(t), d);
            for (Index j = 0; j < d; ++j) keys[j * room + t] = k[j];
            std::copy_n(k + s.kv_heads * d, d, values + t * d);
        }
        for (Index i = 0; i < rows.count; ++i)
            for (Index h = kv * group; h < (kv + 1) * group; ++h) {
                const Index t = rows.first + i, n = b * rows.stride + i;
                T* q = qkv.row(n) + h * d;
                prepare(q, gain_q, eps, work.cos.row(t), work.sin.row(t), d);
                score(q, keys, room, d, cache_positions(t + 1), scale, scores);
                softmax(scores, t + 1);
                mix_row<T>(t + 1, RowsAt<const T>{values, d}, scores, d, out.row(n) + h * d);
            }
    };
    const Index tasks = s.batch * s.kv_heads;
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1 && tasks > 1)
    for (Index i = 0; i < tasks; ++i) task(i / s.kv_heads, i % s.kv_heads);
}

template void attention_decode(Cpu, const Context&, const AttentionShape&, const DecodeRows&,
                               View<float>, View<const float>, View<const float>, float,
                               const KeyValueCache<float>&, const DecodeWorkspace<float>&,
                               View<float>);
template void attention_decode(Cpu, const Context&, const AttentionShape&, const DecodeRows&,
                               View<double>, View<const double>, View<const double>, double,
                               const KeyValueCache<double>&, const DecodeWorkspace<double>&,
                               View<double>);

}  // namespace plumb
