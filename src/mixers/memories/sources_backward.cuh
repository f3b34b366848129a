// Sources on a GPU, backward: softmax attention over depth (mixers/attn_res_rule.h).
//
//     dp_k = <v_k, D>,  ds_k = p_k (dp_k - <h, D>),  t_k = ds_k / rms(v_k)
//     dv_k += p_k D + t_k u - t_k s_k / (C rms(v_k)) v_k,   du += sum_k t_k v_k
//
// sources_pull: K sources (at most: there are a.K) take their gradient from the R readers whose D
// is known, in one pass over the D, so that it is written once (`adds`: added once to what an older
// group left). The newest reader's D comes from its norm and is stored over its xhat, for later
// groups. p is known from forward and weighs D at once; dp is summed up G readers at a time and
// waits in lanes (a lane has one reader); then t, and the rows u in a second loop that depends on
// no sum. t is left for du = t^T v, a matrix product (sources_sums.cuh).
//   Bytes a token, d = 2 C in bf16: R d + 1 d (the newest: dx, xhat, and D written) + K d sources +
//   K d gradients (+ K d). Flops 6 C K R. K V <= 8 keeps the gradients in registers.
//   The newest source's gradient can be kept as it was before it is rounded (`carry`): the sources
//   before it in its block go on with it.
//
// sources_spread: one read (R = 1) over any number of sources: D stays, the sources pass by, du is
// summed up on the way, a row a block. A lane has one of 32 sources.
//   Bytes a token: 2 d (+ 1 d where D is kept) + S d sources + S d gradients (+ S d). Flops 8 C S.
//
// Layout and who computes what: sources_read.cuh, core/row.cuh; rows on their way: core/ring.cuh.
#pragma once

#include "mixers/memories/sources_read.cuh"

namespace plumb::gpu {

template <class T>
struct SourcesPull {
    using Real = RealOf<T>;
    long N;
    int C, W, R, K;
    Rows<const T> d;       // [1..R-1] (N, C): D of the readers; the newest's goes to norm.xhat
    Rows<const T> source;  // K, or S for spread
    Rows<T> gradient;      // as many
    bool adds;
    const Real* u;       // (R, C)
    const Real* rstd;    // (K, N)
    const Real* logits;  // as SourcesRead's
    long k_step;
    const Real* lse;   // (R, N)
    Real* delta;       // (R, N): <h, D>; [0] is written
    Real* t;           // laid out as logits, for du; not of spread
    T* kept_d;         // (N, C) where spread leaves D (and delta); null: nowhere
    Real* carry;       // (N, C) of the last source; null: none
    bool carried;      // spread adds to carry
    Real* dgain_part;  // (blocks, C), written where `gained`; null: raw
    Real* du_part;     // (blocks, C), of spread
    NormArgs<T> norm;  // of the newest reader
};

// K sources of a token on their way to their gradients, in registers.
template <class T, int K, int V>
struct PulledSources {
    using Real = RealOf<T>;
    Packed<T, V> row[K];
    Row<Real, V> out[K];
    Real along[K], r[K];  // this lane's part of s_k; 1 / rms(v_k)

    // Source k, which the ring has, and what its gradient is yet.
    template <class Pushed, class At>
    __device__ void take(int k, const SourcesPull<T>& a, const Pushed& ring, const At& at, long n,
                         bool live) {
        const bool pulls = live && k < a.K;
        load(static_cast<const T*>(a.gradient.p[k]) + n * a.C, at, pulls && a.adds, out[k]);
        along[k] = 0;
        r[k] = pulls ? a.rstd[k * a.N + n] : Real(0);
        ring.wait();
        ring.packed(0, row[k]);
    }
    // The share of a reader's D in the gradients, and dp of this thread's channels.
    template <class F>
    __device__ void add(const Row<Real, V>& d, F&& p_of, Real* dp) {
        Row<Real, V> x;
#pragma unroll
        for (int k = 0; k < K; ++k) {
            unpack(row[k], x);
            dp[k] = dot(x, d);
            axpy(p_of(k), d, out[k]);
        }
    }
    template <class At>
    __device__ void put(const SourcesPull<T>& a, const At& at, long n, bool live) {
        Row<Real, V> x;
#pragma unroll
        for (int k = 0; k < K; ++k) {
            Real sum[1] = {along[k]};
            sum[0] = warp_sums<1>(sum);
            unpack(row[k], x);
            axpy(-sum[0] * r[k] / Real(a.C), x, out[k]);
            store(out[k], at, live && k < a.K, a.gradient.p[k] + n * a.C);
            if (a.carry) store(out[k], at, live && k == a.K - 1, a.carry + n * a.C);
        }
    }
};

// The newest reader's: d is its D.
template <class T, int K, int V, class At>
__device__ inline void pull_newest(const SourcesPull<T>& a, Group<RealOf<T>>& g, const At& at,
                                   long n, bool live, RealOf<T> of_h, Row<RealOf<T>, V>& d,
                                   PulledSources<T, K, V>& sources) {
    using Real = RealOf<T>;
    store(d, at, live, a.norm.xhat + n * a.C);
    if (live && g.leads()) a.delta[n] = of_h;
    const Real lse = live ? a.lse[n] : Real(0);
    Real s[K], p[K], dp[K];
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const bool pulls = live && k < a.K;
        s[k] = pulls ? a.logits[k * a.k_step + n] : Real(0);
        p[k] = pulls ? weight_of<T>(s[k] - lse) : Real(0);
    }
    sources.add(
        d, [&](int k) { return p[k]; }, dp);
    g.sums(dp);
    load(a.u, at, true, d);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const Real t = p[k] * (dp[k] - of_h) * sources.r[k];
        if (live && k < a.K && g.leads()) a.t[k * a.k_step + n] = t;
        if (lane_id() == 0) sources.along[k] = t * s[k];
        axpy(t, d, sources.out[k]);
    }
}

// 32 older readers: a lane has one, its numbers for all K sources.
template <class T, int K>
struct OlderReaders {
    using Real = RealOf<T>;
    Real logit[K], p[K], t[K], delta;  // t is dp at first

    __device__ void fetch(const SourcesPull<T>& a, int first, long n, bool live) {
        const int q = first + lane_id();
        const bool there = live && q < a.R;
        const Real lse = there ? a.lse[q * a.N + n] : Real(0);
        delta = there ? a.delta[q * a.N + n] : Real(0);
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const bool pulls = there && k < a.K;
            logit[k] = pulls ? a.logits[k * a.k_step + q * a.N + n] : Real(0);
            p[k] = pulls ? weight_of<T>(logit[k] - lse) : Real(0);
            t[k] = 0;
        }
    }
    // G of them from the e-th on, whose D the ring has.
    template <int G, int V, class Pushed, class Push>
    __device__ void add(int e, Group<Real>& g, Pushed& ring, Push&& push,
                        PulledSources<T, K, V>& sources) {
        Row<Real, V> d;
        Real dp[G * K];
        ring.template wait<G>();
#pragma unroll
        for (int i = 0; i < G; ++i) {
            ring.row(i, d);
            sources.add(
                d, [&](int k) { return __shfl_sync(~0u, p[k], e + i); }, dp + i * K);
        }
        ring.template pop<G>();
#pragma unroll
        for (int i = 0; i < G; ++i) push();
        const Real total = g.lane_sums(dp);
#pragma unroll
        for (int i = 0; i < G * K; ++i) {
            const Real sum = __shfl_sync(~0u, total, i);
            if (lane_id() == e + i / K) t[i % K] = sum;
        }
    }
    // All have added their D: t, and the rows u of `count` of them.
    template <int V, class At>
    __device__ void finish(const SourcesPull<T>& a, int first, int count, const Group<Real>& g,
                           const At& at, long n, bool live, PulledSources<T, K, V>& sources) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            t[k] = p[k] * (t[k] - delta) * sources.r[k];
            sources.along[k] += t[k] * logit[k];
            if (live && k < a.K && first + lane_id() < a.R && g.warp == 0)
                a.t[k * a.k_step + (first + lane_id()) * a.N + n] = t[k];
        }
        Row<Real, V> u;
#pragma unroll 2
        for (int e = 0; e < count && first + e < a.R; ++e) {
            load(a.u + (first + e) * a.C, at, true, u);
#pragma unroll
            for (int k = 0; k < K; ++k) axpy(__shfl_sync(~0u, t[k], e), u, sources.out[k]);
        }
    }
};

// G readers share a barrier (G divides 32); the newest stands alone.
// One block at least: for more of them than fit, the compiler would spill.
template <class T, int K, int V, int G, int P, bool whole, bool gained>
__global__ void __launch_bounds__(256, 1) sources_pull(const __grid_constant__ SourcesPull<T> a) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    Group<Real> g(a.W, memory);
    const Place<whole> at(a.C, g);
    Row<Real, V> dgain;
    clear(dgain);
    Ring<T, V, P, whole> ring(dynamic_shared(), at);
    const int older = (a.R - 1 + G - 1) / G * G;       // readers, padded
    int n_next = static_cast<int>(g.base) + g.offset;  // an int, as sources_read's
    int next = 0;  // K sources, dx, xhat, D of the older readers
    const auto push = [&] {
        const bool there = n_next < a.N && (next < a.K || (next >= K && next < K + 1 + a.R));
        const T* row = next < K        ? a.source.p[there ? next : 0]
                       : next == K     ? a.norm.dx
                       : next == K + 1 ? a.norm.xhat
                                       : a.d.p[there ? next - K - 1 : 1];
        ring.push(there ? row + static_cast<long>(n_next) * a.C : a.norm.xhat, there);
        if (++next == K + 2 + older) next = 0, n_next += static_cast<int>(g.stride);
    };
    for (int i = 0; i < P; ++i) push();
    for (long base = g.base; base < a.N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < a.N;
        OlderReaders<T, K> readers;
        readers.fetch(a, 1, n, live);
        PulledSources<T, K, V> sources;
#pragma unroll
        for (int k = 0; k < K; ++k) {
            sources.take(k, a, ring, at, n, live);
            ring.pop();
            push();
        }
        Row<Real, V> d, xhat;
        ring.template wait<2>();
        ring.row(0, d);
        ring.row(1, xhat);
        ring.template pop<2>();
        push(), push();
        const Real of_h = norm_gradient<gained>(a.norm, g, at, n, live, xhat, d, dgain);
        pull_newest(a, g, at, n, live, of_h, d, sources);
        for (int first = 1; first <= older; first += 32) {
            if (first > 1) readers.fetch(a, first, n, live);
            const int count = older + 1 - first < 32 ? older + 1 - first : 32;
            for (int e = 0; e < count; e += G) readers.template add<G>(e, g, ring, push, sources);
            readers.finish(a, first, count, g, at, n, live, sources);
        }
        sources.put(a, at, n, live);
    }
    wait_for_groups<0>();
    if (gained && a.dgain_part) store_block_sum(dgain, g, at, block_row, a.dgain_part);
}

// G divides 32.
template <class T, int V, int G, int P, bool whole, bool gained>
__global__ void __launch_bounds__(256, 1)
    sources_spread(int S, const __grid_constant__ SourcesPull<T> a) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    Group<Real> g(a.W, memory);
    const Place<whole> at(a.C, g);
    Row<Real, V> dgain, du, u;
    clear(dgain);
    clear(du);
    load(a.u, at, true, u);
    Ring<T, V, P, whole> ring(dynamic_shared(), at);
    const int groups = (S + G - 1) / G;
    int n_next = static_cast<int>(g.base) + g.offset;  // an int, as sources_read's
    int k_next = -2;                                   // dx, xhat, sources
    const auto push = [&] {
        const bool there = n_next < a.N && k_next < S;
        const T* row = k_next == -2             ? a.norm.dx
                       : k_next == -1 || !there ? a.norm.xhat
                                                : a.source.p[k_next];
        ring.push(row + (there ? static_cast<long>(n_next) * a.C : 0), there);
        if (++k_next == groups * G) k_next = -2, n_next += static_cast<int>(g.stride);
    };
    for (int i = 0; i < P; ++i) push();
    // A lane has one of 32 sources; asked for one trip, or 32 sources, ahead.
    Real logit = 0, r = 0, lse = 0;
    const auto fetch_numbers = [&](long n, int k) {
        const bool there = n < a.N && k < S;
        logit = there ? a.logits[k * a.k_step + n] : Real(0);
        r = there ? a.rstd[k * a.N + n] : Real(0);
        lse = there ? a.lse[n] : Real(0);
    };
    fetch_numbers(g.base + g.offset, lane_id());
    for (long base = g.base; base < a.N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < a.N;
        Row<Real, V> d, xhat;
        ring.template wait<2>();
        ring.row(0, d);
        ring.row(1, xhat);
        ring.template pop<2>();
        push(), push();
        const Real delta = norm_gradient<gained>(a.norm, g, at, n, live, xhat, d, dgain);
        if (a.kept_d) {
            store(d, at, live, a.kept_d + n * a.C);
            if (live && g.leads()) a.delta[n] = delta;
        }
        Real p = 0, pr = 0, back = 0;
        for (int k0 = 0; k0 < S; k0 += G) {
            if (k0 % 32 == 0) {
                p = live && k0 + lane_id() < S ? weight_of<T>(logit - lse) : Real(0);
                pr = p * r, back = -logit * r / Real(a.C);
                if (k0 + 32 < S)
                    fetch_numbers(n, k0 + 32 + lane_id());
                else
                    fetch_numbers(n + g.stride, lane_id());
            }
            Real dp[G];
            ring.template wait<G>();
#pragma unroll
            for (int i = 0; i < G; ++i) {
                Row<Real, V> x;
                ring.row(i, x);
                dp[i] = dot(x, d);
            }
            g.sums(dp);
#pragma unroll
            for (int i = 0; i < G; ++i) {
                const int k = k0 + i;
                const Real t = __shfl_sync(~0u, pr, k % 32) * (dp[i] - delta);
                T* to = k < S ? a.gradient.p[k] + n * a.C : nullptr;
                Real* carry = a.carry && k == S - 1 ? a.carry + n * a.C : nullptr;
                Row<Real, V> out, x;
                ring.row(i, x);
                if (carry && a.carried)
                    load(static_cast<const Real*>(carry), at, live, out);
                else
                    load(static_cast<const T*>(to), at, live && k < S && a.adds, out);
                axpy(t, x, du);
                axpy(__shfl_sync(~0u, p, k % 32), d, out);
                axpy(t, u, out);
                axpy(t * __shfl_sync(~0u, back, k % 32), x, out);
                store(out, at, live && k < S, to);
                if (carry) store(out, at, live, carry);
            }
            ring.template pop<G>();
#pragma unroll
            for (int i = 0; i < G; ++i) push();
        }
    }
    wait_for_groups<0>();
    if (gained && a.dgain_part) store_block_sum(dgain, g, at, block_row, a.dgain_part);
    store_block_sum(du, g, at, block_row, a.du_part);
}

}  // namespace plumb::gpu
