// Streams on a GPU: K rows a token (hyper, mhc), given the scalars of each token, c (K) and A (K,
// K+1) as the rule has them (streams.h).
//
//     streams_write     X'[k] = sum_s A[k,s] X[s] + A[k,K] v;  where asked, <X', 1> and <X', X'>
//     streams_read      h = sum_s c[s] X[s], then its norm
//     streams_backward  D from the norm;  dc[s] = <X[s], D>,  dA[k,s] = <X[s], dX'[k]>,
//                       dA[k,K] = <v, dX'[k]>;
//                       of a rule without dots  dX[s] = sum_k A[k,s] dX'[k] + c[s] D,
//                                               dv = sum_k A_before[k,K] dX[k], v_{l-1}'s
//                       of one with dots, which add to dX what dc and dA make of them, D alone:
//                       dots_backward (stream_dots.cuh) makes dX and dv of it
//
// The first site's X' is K copies of v (`first`); the last has no dX', no v, and of the scalars c
// alone (`last`).
//
// Layout: X, X', dX, dX' (N, K, C) of type T; scalars, their gradients (K (K + 2), N), [c | A]:
// those of neighbouring tokens lie side by side; moments (K, 2, N). Who computes what:
// core/row.cuh; the numbers of one channel never meet, but in the dots. dX may be dX'. Bytes a
// token, d = 2 C in bf16: write (2 K + 1) d; read (K + 1) d (+ 1 d x); backward (3 K + 1) d, the
// norm's 2 d and 1 d dv, or (2 K + 1) d, 2 d and 1 d D. Flops: 2 C K (K + 1), 2 C K, 4 C K (K + 2).
// K = 4: 9 d, 5 d, 16 d or 12 d.
#pragma once

#include "core/ring.cuh"
#include "ops/pre_norm.cuh"

namespace plumb::gpu {

// Where A[k,s] is among a token's scalars.
template <int K>
PLUMB_BOTH constexpr int mix_place(int k, int s) {
    return K + k * (K + 1) + s;
}

// The scalars of one token, in registers. No A where not `mixes`.
template <int K, class Real>
struct StreamScalars {
    Real c[K], a[K][K + 1];
    __device__ StreamScalars(const Real* from, long N, long n, bool live, bool mixes) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            c[k] = live ? from[k * N + n] : Real(0);
#pragma unroll
            for (int s = 0; s <= K; ++s)
                a[k][s] = live && mixes ? from[mix_place<K>(k, s) * N + n] : Real(0);
        }
    }
};

// Of dv = sum_s A_before[s,K] dX[s] = d D + sum_k dx[k] dX'[k]. before null: X is K copies.
template <int K, class Real>
struct ValueScalars {
    Real d = 0, dx[K] = {};
    __device__ ValueScalars(const StreamScalars<K, Real>& by, const Real* before, long N, long n,
                            bool live) {
#pragma unroll
        for (int s = 0; s < K; ++s) {
            const Real into = live && before ? before[mix_place<K>(s, K) * N + n] : Real(1);
            d += into * by.c[s];
#pragma unroll
            for (int k = 0; k < K; ++k) dx[k] += into * by.a[k][s];
        }
    }
};

// A run of X'[k], of those of X and v; `first`: v alone.
template <int K, class Real>
__device__ inline void mix_run(const StreamScalars<K, Real>& by, int k, bool first,
                               const Real (&rows)[K + 1][kRun], Real* sum) {
#pragma unroll
    for (int j = 0; j < kRun; ++j) {
        sum[j] = first ? rows[K][j] : by.a[k][K] * rows[K][j];
#pragma unroll
        for (int s = 0; s < K; ++s) sum[j] += by.a[k][s] * rows[s][j];
    }
}

// One run of channels: fetches, as it lies in memory and as numbers, and stores.
template <bool whole, class T>
__device__ inline Run<T> take_run(const T* p, int c, int C, bool live) {
    Run<T> run{};
    if (!live || c >= C) return run;
    if constexpr (whole) {
        run = *reinterpret_cast<const Run<T>*>(p + c);
    } else {
        RealOf<T> y[kRun];
#pragma unroll
        for (int j = 0; j < kRun; ++j) y[j] = c + j < C ? RealOf<T>(p[c + j]) : RealOf<T>(0);
        pack(y, run);
    }
    return run;
}
template <bool whole, class T>
__device__ inline void load_run(const T* p, int c, int C, bool live, RealOf<T>* x) {
    unpack(take_run<whole>(p, c, C, live), x);
}
template <bool whole, class T>
__device__ inline void store_run(const RealOf<T>* x, int c, int C, bool live, T* p) {
    if (!live || c >= C) return;
    if constexpr (whole) {
        Run<T> run;
        pack(x, run);
        *reinterpret_cast<Run<T>*>(p + c) = run;
    } else {
#pragma unroll
        for (int j = 0; j < kRun; ++j)
            if (c + j < C) p[c + j] = static_cast<T>(x[j]);
    }
}

// Numbers as memory will have them.
template <class T>
__device__ inline void round_run(RealOf<T>* x) {
    if constexpr (std::is_same_v<T, RealOf<T>>) return;
    Run<T> run;
    pack(x, run);
    unpack(run, x);
}

template <class T, int K, int V, bool whole>
__global__ void __launch_bounds__(256)
    streams_write(long N, int C, int W, bool first, const T* __restrict__ x,
                  const T* __restrict__ v, const RealOf<T>* __restrict__ scalars,
                  T* __restrict__ out, RealOf<T>* __restrict__ moments) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        const StreamScalars<K, Real> by(scalars, N, n, live && !first, true);
        Real sums[2 * K] = {};
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const int c = at.channel(i);
            Real rows[K + 1][kRun];
            load_run<whole>(v + n * C, c, C, live, rows[K]);
#pragma unroll
            for (int s = 0; s < K; ++s)
                load_run<whole>(x + (n * K + s) * C, c, C, live && !first, rows[s]);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                Real sum[kRun];
                mix_run(by, k, first, rows, sum);
                round_run<T>(sum);
                store_run<whole>(sum, c, C, live, out + (n * K + k) * C);
#pragma unroll
                for (int j = 0; j < kRun; ++j) {
                    sums[2 * k] += sum[j];
                    sums[2 * k + 1] += sum[j] * sum[j];
                }
            }
        }
        if (moments) g.store_sums(sums, live, moments + n, N);
    }
}

template <class T, int K, int V, bool whole>
__global__ void __launch_bounds__(256)
    streams_read(long N, int C, int W, const T* x, const RealOf<T>* scalars, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> h;
        clear(h);
        Packed<T, V> in[K];
#pragma unroll
        for (int s = 0; s < K; ++s) fetch(x + (n * K + s) * C, at, live, in[s]);
#pragma unroll
        for (int s = 0; s < K; ++s) {
            Row<Real, V> row;
            unpack(in[s], row);
            axpy(live ? scalars[s * N + n] : Real(0), row, h);
        }
        norm_put(norm, g, at, n, live, h);
    }
}

// P slabs on their way, each one run of the 2 K + 1 rows dX', v, X: core/ring.cuh. While the norm's
// two rows are waited for, they come. before (K (K + 2), N), the scalars of the site below, null: X
// is K copies. dx null: there are dots, and dv is D.
template <class T, int K, int V, int P, bool whole, bool gained>
__global__ void __launch_bounds__(256)
    streams_backward(long N, int C, int W, bool last, const T* x, const T* v,
                     const RealOf<T>* __restrict__ scalars, const RealOf<T>* __restrict__ before,
                     const T* dout, T* dx, T* dv, RealOf<T>* __restrict__ dscalars,
                     RealOf<T>* __restrict__ dgain_part, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Row<Real, V> dgain;
    clear(dgain);
    Ring<T, 2 * K + 1, P, whole> ring(dynamic_shared(), at, x);
    long n_next = g.base + g.offset;  // whose slab is asked for next
    int i_next = 0;
    const auto push = [&] {
        ring.push_run(i_next, [&](int row) -> const T* {
            if (n_next >= N || (last && row <= K)) return nullptr;
            return row < K    ? dout + (n_next * K + row) * C
                   : row == K ? v + n_next * C
                              : x + (n_next * K + row - K - 1) * C;
        });
        if (++i_next == V) i_next = 0, n_next += g.stride;
    };
    for (int i = 0; i < P; ++i) push();
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        const StreamScalars<K, Real> by(scalars, N, n, live, !last);
        const ValueScalars<K, Real> below(by, before, N, n, live);
        Row<Real, V> d;
        norm_gradient<gained>(norm, g, at, n, live, d, dgain);
        Real sums[K * (K + 2)] = {};  // dc, dA
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const int c = at.channel(i);
            const Real* D = d.x + i * kRun;
            Real out[K][kRun], row[kRun], sum[kRun];
            ring.wait();
#pragma unroll
            for (int k = 0; k < K; ++k) ring.run(0, k, out[k]);
            ring.run(0, K, row);
#pragma unroll
            for (int j = 0; j < kRun; ++j) {
                sum[j] = dx ? below.d * D[j] : D[j];
#pragma unroll
                for (int k = 0; k < K; ++k) {
                    sums[mix_place<K>(k, K)] += row[j] * out[k][j];
                    if (dx) sum[j] += below.dx[k] * out[k][j];
                }
            }
            store_run<whole>(sum, c, C, live, dv + n * C);
#pragma unroll
            for (int s = 0; s < K; ++s) {
                ring.run(0, K + 1 + s, row);
#pragma unroll
                for (int j = 0; j < kRun; ++j) {
                    sums[s] += row[j] * D[j];
                    sum[j] = by.c[s] * D[j];
#pragma unroll
                    for (int k = 0; k < K; ++k) {
                        sums[mix_place<K>(k, s)] += row[j] * out[k][j];
                        sum[j] += by.a[k][s] * out[k][j];
                    }
                }
                if (dx) store_run<whole>(sum, c, C, live, dx + (n * K + s) * C);
            }
            ring.pop();
            push();
        }
        g.store_sums(sums, live, dscalars + n, N);
    }
    wait_for_groups<0>();
    if constexpr (gained) store_block_sum(dgain, g, at, block_row, dgain_part);
}

}  // namespace plumb::gpu
