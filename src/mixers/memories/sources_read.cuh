// Sources on a GPU, forward: softmax attention over depth (mixers/attn_res_rule.h).
//
//     s_k = <u, v_k> / rms(v_k),  p = softmax_k(s),  h = sum_k p_k v_k,  u = query * key_gain
//
// sources_read: h of Q reads over the same S sources in one pass over them, and the norm of the
// first; at most Q: reads past a.Q count as rows of zeros. Softmax is "online": top, sum and the Q
// mixes are kept as if the sources so far were all; the mixes shrink when the top rises. The
// sources that came since are few: a later read goes on with the mix that waits for it (`waiting`,
// Q = 1) and the lse of what is in it.
//
// Layout: sources, mixes, xhat (N, C) of type T; rstd (S, N), logits (sources, readers, N), lse
// (readers, N). Who computes what: core/row.cuh. G sources share one barrier and one pass over u;
// the P rows behind them, of the next token too, are on their way (core/ring.cuh; P >= G). The
// numbers of a token are computed once a warp, not once a thread, which would take longer than the
// rows: a lane has one of G (Q + 1), a logit or a square.
//
// Bytes a token, d = 2 C in bf16: S d sources, (Q - 1) d mixes, 1 d waiting, 1 d xhat (+ 1 d x).
// Flops 4 C Q S + 2 C S. Floor of S = 9, Q = 1: 10 d. Any C. Q V <= 20 keeps the mixes in
// registers, G (Q + 1) <= 32 the numbers in lanes.
#pragma once

#include "core/ring.cuh"
#include "ops/pre_norm.cuh"

namespace plumb::gpu {

inline constexpr int kMaxSources = 130;  // the parameters of a kernel are 4 KB at most

template <class T>
struct Rows {
    T* p[kMaxSources];
};

template <class T>
struct SourcesRead {
    using Real = RealOf<T>;
    long N;
    int C, W, S, Q;
    Rows<const T> source;  // S
    const Real* u;         // (Q, C)
    Real* rstd;            // (N) of the last source; null: known
    Real* logits;          // of source k, read q, token n at [k k_step + q N + n]
    long k_step;
    Real* lse;         // (Q, N); in: of `waiting`
    const T* waiting;  // (N, C) or null
    Rows<T> mixes;     // [1..Q-1] (N, C): of the reads after the first
    Real eps;          // of the keys' norm
    NormArgs<T> norm;  // of the first read
};

// exp(x) of x <= 0. Rows of bf16 are rounded by more than the device's approximation is off.
template <class T>
__device__ inline RealOf<T> weight_of(RealOf<T> x) {
    if constexpr (std::is_same_v<T, Bf16>)
        return weight(x);
    else
        return exp(x);
}

// The Q vectors u, each thread its runs: in registers where they fit beside the mixes, else in
// shared memory behind the ring, read once for G sources. Halves of a run lie apart: no bank
// conflicts.
template <class Real, int Q, int V>
class Queries {
public:
    static constexpr bool kShared = Q * V > 8;
    static constexpr std::size_t bytes(int warps) {
        return kShared ? sizeof(Real) * Q * V * kRun * 32 * static_cast<std::size_t>(warps) : 0;
    }
    template <class At>
    __device__ Queries(const Real* u, int count, Real* memory, const Group<Real>& g, const At& at)
        : mine_(memory + 4 * (lane_id() + 32 * g.warp)), half_(4 * 32 * g.warps) {
#pragma unroll
        for (int q = 0; q < Q; ++q) {
            Row<Real, V> row;
            load(u + q * at.c, at, q < count, row);
            if constexpr (!kShared) {
                own_[q] = row;
            } else if (g.offset == 0) {
#pragma unroll
                for (int j = 0; j < V * kRun; ++j)
                    mine_[(q * V * 2 + j / 4) * half_ + j % 4] = row.x[j];
            }
        }
        if constexpr (kShared) __syncthreads();
    }
    __device__ void run(int q, int v, Real* x) const {
#pragma unroll
        for (int j = 0; j < kRun; ++j)
            if constexpr (kShared)
                x[j] = mine_[((q * V + v) * 2 + j / 4) * half_ + j % 4];
            else
                x[j] = own_[q].x[v * kRun + j];
    }

private:
    Row<Real, V> own_[kShared ? 1 : Q];
    Real* mine_;
    int half_;
};

template <class T, int Q, int V, int P>
constexpr std::size_t sources_read_shared(unsigned threads, int warps) {
    return ring_bytes<T, V, P>(threads) + Queries<RealOf<T>, Q, V>::bytes(warps);
}

template <class T, int Q, int V, int G, int P, bool whole>
__global__ void __launch_bounds__(256) sources_read(const __grid_constant__ SourcesRead<T> a) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(a.W, memory);
    const Place<whole> at(a.C, g);
    char* const shared = static_cast<char*>(dynamic_shared());
    Ring<T, V, P, whole> ring(shared, at);
    const Queries<Real, Q, V> u(
        a.u, a.Q, reinterpret_cast<Real*>(shared + ring_bytes<T, V, P>(blockDim.x)), g, at);
    const int groups = (a.S + G - 1) / G;
    // Whose row is asked for next. Tokens fit an int: a long is a register too many on sm_80.
    int n_next = static_cast<int>(g.base) + g.offset, k_next = 0;
    const auto push = [&] {
        const bool there = n_next < a.N && k_next < a.S;
        ring.push(a.source.p[there ? k_next : 0] + (there ? static_cast<long>(n_next) * a.C : 0),
                  there);
        if (++k_next == groups * G) k_next = 0, n_next += static_cast<int>(g.stride);
    };
    for (int i = 0; i < P; ++i) push();
    // A lane has one number: dot q_mine of source i_mine of the group, or (q_mine = Q) its square.
    constexpr int kOf = Q + 1;
    const int q_mine = lane_id() % kOf;
    const int i_mine = lane_id() / kOf < G ? lane_id() / kOf : 0;
    const bool mine = lane_id() < G * kOf;
    const auto of = [](Real x, int i, int q) { return __shfl_sync(~0u, x, i * kOf + q); };
    for (long base = g.base; base < a.N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < a.N;
        Row<Real, V> mix[Q];
#pragma unroll
        for (int q = 0; q < Q; ++q) clear(mix[q]);
        Real top = -INFINITY, sum = 0;  // of query q_mine, in lanes of all i_mine
        if (Q == 1 && a.waiting) {
            load(a.waiting + n * a.C, at, live, mix[0]);
            top = live ? a.lse[n] : Real(0), sum = 1;
        }
        for (int k0 = 0; k0 < a.S; k0 += G) {
            Real s[G * kOf] = {};
            ring.template wait<G>();
#pragma unroll
            for (int v = 0; v < V; ++v) {
                Real x[G][kRun], y[kRun];
#pragma unroll
                for (int i = 0; i < G; ++i) ring.run(i, v, x[i]);
#pragma unroll
                for (int q = 0; q <= Q; ++q) {
                    if (q < Q) u.run(q, v, y);
#pragma unroll
                    for (int i = 0; i < G; ++i)
#pragma unroll
                        for (int j = 0; j < kRun; ++j)
                            s[i * kOf + q] += x[i][j] * (q < Q ? y[j] : x[i][j]);
                }
            }
            const Real total = g.lane_sums(s);
            const int k = k0 + i_mine;
            const Real r = inverse_sqrt(of(total, i_mine, Q) / Real(a.C) + a.eps);
            const bool logs = mine && k < a.S && q_mine < Q;
            const Real logit = logs ? total * r : Real(-INFINITY);
            if (live && g.warp == 0) {
                if (logs && q_mine < a.Q)
                    a.logits[k * a.k_step + q_mine * a.N + n] = logit;
                else if (mine && q_mine == Q && k == a.S - 1 && a.rstd)
                    a.rstd[n] = r;
            }
            Real high = top;
#pragma unroll
            for (int i = 0; i < G; ++i) {
                const Real other = G == 1 ? logit : of(logit, i, q_mine);
                high = other > high ? other : high;
            }
            const Real keep = weight_of<T>(top - high), w = weight_of<T>(logit - high);
            top = high;
            sum *= keep;
#pragma unroll
            for (int i = 0; i < G; ++i) sum += G == 1 ? w : of(w, i, q_mine);
            if (Q == 1 || __any_sync(~0u, lane_id() < Q && keep != Real(1)))
#pragma unroll
                for (int q = 0; q < Q; ++q) scale(of(keep, 0, q), mix[q]);
#pragma unroll
            for (int i = 0; i < G; ++i) {
                Row<Real, V> x;
                ring.row(i, x);
#pragma unroll
                for (int q = 0; q < Q; ++q) axpy(of(w, i, q), x, mix[q]);
            }
            ring.template pop<G>();
#pragma unroll
            for (int i = 0; i < G; ++i) push();
        }
        if (Q == 1) __syncwarp();  // all lanes have read lse; a shuffle does not order memory
        if (live && g.warp == 0 && lane_id() < a.Q) a.lse[lane_id() * a.N + n] = top + log(sum);
        const Real inverse = reciprocal(sum);
#pragma unroll
        for (int q = 0; q < Q; ++q) {
            scale(of(inverse, 0, q), mix[q]);
            if (q > 0 && q < a.Q) store(mix[q], at, live, a.mixes.p[q] + n * a.C);
        }
        norm_put(a.norm, g, at, n, live, mix[0]);
    }
    wait_for_groups<0>();
}

}  // namespace plumb::gpu
