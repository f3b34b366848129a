// RunningRow on a GPU (running_row.h has the equations), one kernel a site and direction:
//
//     read            h = a_0 h + a_1 v;  dots of h;  xhat = h / rms(h),  x = xhat gain
//     read_backward   x = dh + D + 2 du_hh h + du_hq q, D from the norm;  dots of x
//                     dv = a_1 x + .. h + .. v,  dh = a_0 x + .. h + .. v
//
// The standard residual (a = 1), weights of the site, and those of the token have kernels of their
// own; the last are in running_row_token.cuh.
//
// Layout: v, xhat, x, dx, dv (N, C) of type T; h, dh (N, C) in RealOf<T>, summed up along the walk
// in place. Who computes what: core/row.cuh; a thread keeps its runs of h (and of dgain) in
// registers between the sum and the norm. Bytes a token, d = 2 C in bf16: read v 1d, h 2d + 2d,
// xhat 1d, x 1d = 7d (6d with the gain folded into the next weight); backward dx 1d, xhat 1d,
// dh 2d + 2d, dv 1d = 7d, and v 1d where weights learn. Flops: 5 C and 10 C, with weights 8 C and
// 20 C, far below what the bytes allow. First site: h is not read. Last: dh is not read.
#pragma once

#include "ops/pre_norm.cuh"

namespace plumb::gpu {

template <class T, int V, bool whole>
__global__ void __launch_bounds__(256)
    running_read(long N, int C, int W, bool first, const T* v, RealOf<T>* h, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> a, sum;
        load(v + n * C, at, live, a);
        load(static_cast<const Real*>(h) + n * C, at, live && !first, sum);
        axpy(Real(1), a, sum);
        store(sum, at, live, h + n * C);
        norm_put(norm, g, at, n, live, sum);
    }
}

// dgain_part (blocks, C), written where `gained`.
template <class T, int V, bool whole, bool gained>
__global__ void __launch_bounds__(256)
    running_read_backward(long N, int C, int W, bool last, RealOf<T>* dh, T* dv,
                          RealOf<T>* dgain_part, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Row<Real, V> dgain;
    clear(dgain);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> d, sum;
        load(static_cast<const Real*>(dh) + n * C, at, live && !last, sum);
        norm_gradient<gained>(norm, g, at, n, live, d, dgain);
        axpy(Real(1), d, sum);
        store(sum, at, live, dh + n * C);
        store(sum, at, live, dv + n * C);
    }
    if constexpr (gained) store_block_sum(dgain, g, at, block_row, dgain_part);
}

// ---- weights of the site ------------------------------------------------------------------------
// a (2, G): G = 1, or (grouped) G = C.

// x = w x, w a number or a row (C).
template <bool grouped, class Real, int V, class At>
__device__ inline void weigh_row(const Real* w, const At& at, Row<Real, V>& x) {
    if constexpr (grouped) {
        Row<Real, V> row;
        load(w, at, true, row);
#pragma unroll
        for (int j = 0; j < V * kRun; ++j) x.x[j] *= row.x[j];
    } else {
        scale(*w, x);
    }
}

template <class T, int V, bool whole, bool grouped>
__global__ void __launch_bounds__(256, 1)
    weighted_read(long N, int C, int W, bool first, const T* v, RealOf<T>* h, const RealOf<T>* a,
                  NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> x, sum;
        load(v + n * C, at, live, x);
        load(static_cast<const Real*>(h) + n * C, at, live && !first, sum);
        if (!first) {
            weigh_row<grouped>(a, at, sum);
            weigh_row<grouped>(a + (grouped ? C : 1), at, x);
        }
        axpy(Real(1), x, sum);
        store(sum, at, live, h + n * C);
        norm_put(norm, g, at, n, live, sum);
    }
}

// Numbers that each token's first warp sums up over the tokens it took: what its first lane has in
// `memory` into part (blocks, n). The block's last act.
template <class Real, int most>
struct WarpNumbers {  // in shared memory
    Real x[kMaxWarps][most];
};
template <class Real, int most>
__device__ inline void store_block_numbers(int n, const WarpNumbers<Real, most>& memory, int W,
                                           Real* part) {
    __syncthreads();
    const int i = static_cast<int>(threadIdx.x);
    if (i >= n) return;
    Real sum = memory.x[0][i];
    for (int w = 1; W == 1 && w < kTokensPerBlock; ++w) sum += memory.x[w][i];
    part[static_cast<long>(blockIdx.x) * n + i] = sum;
}

// Which of the walk's ends a site is at: at the first there is no weight, at the last no dh yet.
struct RowEnds {
    bool first, last;
};

// v null: nothing learns. da_part: sums of h_l x and v x, (blocks, 2), or (2, blocks, C).
// dgain_part (blocks, C); null: raw.
template <class T, int V, bool whole, bool grouped>
__global__ void __launch_bounds__(256, 1)
    weighted_read_backward(long N, int C, int W, RowEnds ends, const T* v, RealOf<T>* dh, T* dv,
                           const RealOf<T>* a, RealOf<T>* da_part, RealOf<T>* dgain_part,
                           NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    using Numbers = WarpNumbers<Real, 2>;
    PLUMB_SHARED(Numbers, block_numbers);
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    const bool learns = v != nullptr && !ends.first;
    Row<Real, V> dgain, da[grouped ? 2 : 1];
    Real along[2] = {};
    clear(dgain);
    if constexpr (grouped) clear(da[0]), clear(da[1]);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> x, y, r;
        load(norm.dx + n * C, at, live, x);
        load(static_cast<const T*>(norm.xhat) + n * C, at, live, y);
        norm_gradient<true>(norm, g, at, n, live, y, x, dgain);
        load(static_cast<const Real*>(dh) + n * C, at, live && !ends.last, r);
        axpy(Real(1), r, x);
        if (learns) {
            const Real h_per_y = live && norm.rstd ? Real(1) / norm.rstd[n] : Real(1);
            load(v + n * C, at, live, r);
            if constexpr (grouped) {
#pragma unroll
                for (int j = 0; j < V * kRun; ++j) {
                    da[0].x[j] += h_per_y * y.x[j] * x.x[j];
                    da[1].x[j] += r.x[j] * x.x[j];
                }
            } else {
                along[0] += h_per_y * dot(y, x);
                along[1] += dot(r, x);
            }
        }
        r = x;
        if (!ends.first) {
            weigh_row<grouped>(a, at, r);
            weigh_row<grouped>(a + (grouped ? C : 1), at, x);
        }
        store(r, at, live, dh + n * C);
        store(x, at, live, dv + n * C);
    }
    if (dgain_part) store_block_sum(dgain, g, at, block_row, dgain_part);
    if (!learns) return;
    if constexpr (grouped) {
        store_block_sum(da[0], g, at, block_row, da_part);
        store_block_sum(da[1], g, at, block_row, da_part + static_cast<long>(gridDim.x) * C);
    } else {
        g.sums(along);
        if (lane_id() == 0)
            for (int i = 0; i < 2; ++i) block_numbers.x[threadIdx.x >> 5][i] = along[i];
        store_block_numbers(2, block_numbers, W, da_part);
    }
}

// Of all sites, G groups each: dA_0 = <h, x> = (<h_l, x> - a_1 <v, x>) / a_0, in place. a, da
// (sites, 2, G).
template <class Real>
__global__ void __launch_bounds__(256)
    take_write_back(long sites, long G, const Real* a, Real* da) {
    const long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= sites * G) return;
    const long at = i / G * 2 * G + i % G;
    da[at] = a[at] == 0 ? Real(0) : (da[at] - a[at + G] * da[at + G]) / a[at];
}

}  // namespace plumb::gpu
