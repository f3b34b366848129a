// Streams on a GPU: K rows a token (hyper, mhc), given the coefficients of each token.
//
//     streams_write     X'[k] = sum_s res[s,k] X[s] + post[k] v
//     streams_read      h = sum_s pre[s] X[s], then its norm
//     streams_backward  D from the norm;  dX[s] = sum_k res[s,k] dX'[k] + pre[s] D,
//                       dv = sum_k post[k] dX'[k],   dpre[s] = <X[s], D>,
//                       dpost[k] = <v, dX'[k]>,      dres[s,k] = <X[s], dX'[k]>
//
// What the coefficients' own dots with X add to dX (phi^T du in mhc) is not in it. The first site
// has no dX' where X' was not written (output: `last`), and then no v.
//
// Layout: X, X', dX, dX' (N, K, C) of type T; coefficients, their gradients (K pre, K post, K K
// res; N): those of neighbouring tokens lie side by side. Who computes what: core/row.cuh; the
// numbers of one channel never meet, but in the dots. dX may be dX'. Bytes a token, d = 2 C in
// bf16: write (2 K + 1) d; read (K + 1) d (+ 1 d x); backward (3 K + 2) d + 2 d. Flops: 2 C K (K +
// 1), 2 C K, 4 C K (K + 2). K = 4: 9 d, 5 d, 16 d.
#pragma once

#include "core/ring.cuh"
#include "ops/pre_norm.cuh"

namespace plumb::gpu {

// The coefficients of one token, in registers.
template <int K, class Real>
struct Coefficients {
    Real pre[K], post[K], res[K * K];
    __device__ Coefficients(const Real* from, long N, long n, bool live) {
#pragma unroll
        for (int i = 0; i < K * (K + 2); ++i) {
            const Real x = live ? from[i * N + n] : Real(0);
            (i < K ? pre[i] : i < 2 * K ? post[i - K] : res[i - 2 * K]) = x;
        }
    }
};

// One run of channels: fetches and stores.
template <bool whole, class T>
__device__ inline void load_run(const T* p, int c, int C, bool live, RealOf<T>* x) {
    Run<T> run{};
    if (live && c < C) {
        if constexpr (whole) {
            run = *reinterpret_cast<const Run<T>*>(p + c);
        } else {
            RealOf<T> y[kRun];
#pragma unroll
            for (int j = 0; j < kRun; ++j) y[j] = c + j < C ? RealOf<T>(p[c + j]) : RealOf<T>(0);
            pack(y, run);
        }
    }
    unpack(run, x);
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

template <class T, int K, int V, bool whole>
__global__ void __launch_bounds__(256)
    streams_write(long N, int C, int W, const T* __restrict__ x, const T* __restrict__ v,
                  const RealOf<T>* __restrict__ coefficients, T* __restrict__ out) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    const Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        const Coefficients<K, Real> by(coefficients, N, n, live);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const int c = at.channel(i);
            Real in[K][kRun], value[kRun];
            load_run<whole>(v + n * C, c, C, live, value);
#pragma unroll
            for (int s = 0; s < K; ++s) load_run<whole>(x + (n * K + s) * C, c, C, live, in[s]);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                Real sum[kRun];
#pragma unroll
                for (int j = 0; j < kRun; ++j) {
                    sum[j] = by.post[k] * value[j];
#pragma unroll
                    for (int s = 0; s < K; ++s) sum[j] += by.res[s * K + k] * in[s][j];
                }
                store_run<whole>(sum, c, C, live, out + (n * K + k) * C);
            }
        }
    }
}

template <class T, int K, int V, bool whole>
__global__ void __launch_bounds__(256)
    streams_read(long N, int C, int W, const T* x, const RealOf<T>* coefficients,
                 NormArgs<T> norm) {
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
            axpy(live ? coefficients[s * N + n] : Real(0), row, h);
        }
        norm_put(norm, g, at, n, live, h);
    }
}

// P slabs on their way, each one run of the 2 K + 1 rows dX', v, X: core/ring.cuh. While the norm's
// two rows are waited for, they come.
template <class T, int K, int V, int P, bool whole, bool gained>
__global__ void __launch_bounds__(256)
    streams_backward(long N, int C, int W, bool last, const T* x, const T* v,
                     const RealOf<T>* __restrict__ coefficients, const T* dout, T* dx, T* dv,
                     RealOf<T>* __restrict__ dcoefficients, RealOf<T>* __restrict__ dgain_part,
                     NormArgs<T> norm) {
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
        const Coefficients<K, Real> by(coefficients, N, n, live);
        Row<Real, V> d;
        norm_gradient<gained>(norm, g, at, n, live, d, dgain);
        Real sums[K * (K + 2)] = {};  // dpre, dpost, dres
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const int c = at.channel(i);
            Real out[K][kRun], row[kRun], sum[kRun];
            ring.wait();
#pragma unroll
            for (int k = 0; k < K; ++k) ring.run(0, k, out[k]);
            ring.run(0, K, row);
#pragma unroll
            for (int j = 0; j < kRun; ++j) {
                sum[j] = 0;
#pragma unroll
                for (int k = 0; k < K; ++k) {
                    sums[K + k] += row[j] * out[k][j];
                    sum[j] += by.post[k] * out[k][j];
                }
            }
            store_run<whole>(sum, c, C, live && !last, dv + n * C);
#pragma unroll
            for (int s = 0; s < K; ++s) {
                ring.run(0, K + 1 + s, row);
#pragma unroll
                for (int j = 0; j < kRun; ++j) {
                    const Real dj = d.x[i * kRun + j];
                    sums[s] += row[j] * dj;
                    sum[j] = by.pre[s] * dj;
#pragma unroll
                    for (int k = 0; k < K; ++k) {
                        sums[2 * K + s * K + k] += row[j] * out[k][j];
                        sum[j] += by.res[s * K + k] * out[k][j];
                    }
                }
                store_run<whole>(sum, c, C, live, dx + (n * K + s) * C);
            }
            ring.pop();
            push();
        }
        g.store_sums(sums, live, dcoefficients + n, N);
    }
    wait_for_groups<0>();
    if constexpr (gained) store_block_sum(dgain, g, at, block_row, dgain_part);
}

}  // namespace plumb::gpu
