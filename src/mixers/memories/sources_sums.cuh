// Sources on a GPU: what stands around reads and pulls (sources_read.cuh, sources_backward.cuh).
//
//     sum_rows        P_i = P_{i-1} + v_i                      a block's running sum
//     site_products   out_l = a_l b_l, or +=                   u = query gain and its gradients
//     sources_du      du_r = sum_{k,n} t_{k,r,n} v_{k,n}       what a pull left of its R readers
//
// Layout: rows (N, C) of type T; vectors (C), t (K, readers, N) and du in RealOf<T>. Who computes
// what: the first two core/runs.cuh, a thread 8 numbers. sources_du: a thread 8 channels of
// kDuReaders readers, over a slice of the tokens, in order: 64 sums in registers, for which it
// loads 8 numbers of a source and as many t, which all its block shares; a block a slice of the
// tokens, kDuReaders readers and the channels that its threads hold. Slices are added by
// add_partials. Bytes a token: sum_rows 6 C in bf16; sources_du 2 C K for every kDuReaders readers,
// mostly from L2, and 4 K R. Flops 2 C K R.
#pragma once

#include "mixers/memories/sources_read.cuh"

namespace plumb::gpu {

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads) sum_rows(long N, long C, const T* before, T* sum) {
    const RunPlace at(N, C);
    RealOf<T> a[kRun], b[kRun];
    load_run<whole>(before + at.n * C + at.c, at.count, a);
    load_run<whole>(static_cast<const T*>(sum) + at.n * C + at.c, at.count, b);
#pragma unroll
    for (int j = 0; j < kRun; ++j) b[j] += a[j];
    store_run<whole>(b, at.count, sum + at.n * C + at.c);
}

// Of sites: rows of C numbers.
template <class Real>
struct SiteProducts {
    bool adds;
    Rows<Real> out;
    Rows<const Real> a, b;  // null: ones; both null: zeros
};
template <class Real>
__global__ void __launch_bounds__(kRunThreads)
    site_products(long sites, long C, const __grid_constant__ SiteProducts<Real> p) {
    const RunPlace at(sites, C);
    if (at.count == 0) return;
    const Real *a = p.a.p[at.n], *b = p.b.p[at.n];
    Real* out = p.out.p[at.n];
    for (long c = at.c; c < at.c + at.count; ++c) {
        const Real x = !a && !b ? Real(0) : (a ? a[c] : Real(1)) * (b ? b[c] : Real(1));
        out[c] = p.adds ? out[c] + x : x;
    }
}

inline constexpr int kDuReaders = 8;

template <class T>
struct SourcesDu {
    using Real = RealOf<T>;
    long N, C, slices;
    int R, K;
    Rows<const T> source;  // K
    const Real* t;         // of source k, reader r, token n at [k k_step + r N + n]
    long k_step;
    Real* part;  // (slices, R, C)
};
template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads) sources_du(const __grid_constant__ SourcesDu<T> a) {
    using Real = RealOf<T>;
    const long runs = (a.C + kRun - 1) / kRun, tiles = (runs + blockDim.x - 1) / blockDim.x;
    const long of_slice = tiles * ((a.R + kDuReaders - 1) / kDuReaders);
    const long slice = blockIdx.x / of_slice, part = blockIdx.x % of_slice;
    const long c = kRun * (part % tiles * blockDim.x + threadIdx.x);
    const int first = kDuReaders * static_cast<int>(part / tiles);
    const int count = c >= a.C ? 0 : a.C - c < kRun ? static_cast<int>(a.C - c) : kRun;
    Real sum[kDuReaders][kRun] = {};
    for (long n = slice * a.N / a.slices; n < (slice + 1) * a.N / a.slices; ++n)
        for (int k = 0; k < a.K; ++k) {
            Real x[kRun];
            load_run<whole>(a.source.p[k] + n * a.C + c, count, x);
#pragma unroll
            for (int r = 0; r < kDuReaders; ++r) {
                const bool there = first + r < a.R;
                const Real t = there ? a.t[k * a.k_step + (first + r) * a.N + n] : Real(0);
#pragma unroll
                for (int j = 0; j < kRun; ++j) sum[r][j] += t * x[j];
            }
        }
#pragma unroll
    for (int r = 0; r < kDuReaders; ++r)
        if (first + r < a.R)
            store_run<whole>(sum[r], count, a.part + (slice * a.R + first + r) * a.C + c);
}

}  // namespace plumb::gpu
