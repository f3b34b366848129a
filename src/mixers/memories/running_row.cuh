// RunningRow on a GPU: the standard residual, one kernel a site and direction.
//
//     read            h += v;   xhat = h / rms(h),  x = xhat gain
//     read_backward   D from the norm;  dh += D;  dv = dh
//
// Layout: v, xhat, x, dx, dv (N, C) of type T; h, dh (N, C) in RealOf<T>, summed up along the walk
// in place. Who computes what: core/row.cuh; a thread keeps its runs of h (and of dgain) in
// registers between the sum and the norm. Bytes a token, d = 2 C in bf16: read v 1d, h 2d + 2d,
// xhat 1d, x 1d = 7d (6d with the gain folded into the next weight); backward dx 1d, xhat 1d,
// dh 2d + 2d, dv 1d = 7d. Flops: 5 C and 10 C, far below what the bytes allow.
// First site: h is not read. Last: dh is not read.
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

}  // namespace plumb::gpu
