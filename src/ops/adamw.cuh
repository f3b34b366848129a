// AdamW on a GPU (ops/adamw.h), one pass over value, gradient and both moments:
//
//     g = scale grad;   m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
//     w = keep w - rate m / (sqrt(v) correction + eps),   and a copy of w in bf16 where asked for
//
// Layout: n numbers each, in Real. Who computes what: core/runs.cuh; a thread finds the range of
// its first number by bisection and goes on from there. Bytes a number, float: 4 grad, 4 + 4 of
// each of w, m, v, and 2 for the copy: 30, of which runs of untrained numbers cost none. Flops: 15,
// a root and a division. The scale is a device scalar: where it is 0, because a step went wrong
// (ops/step_scalars.h), nothing is changed, and nobody waited to learn it.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

struct AdamwRange {  // an UpdateRange
    long end;        // first number after it
    double lr_scale;
    bool decay, trained;
};

template <class Real>
struct AdamwFactors {
    Real b1, b2, eps, correction;
    double rate, lr_decay;  // of ranges with lr_scale 1
};
template <class Real>
AdamwFactors<Real> adamw_factors(double lr, double beta1, double beta2, double eps,
                                 double weight_decay, long step) {
    const double t = static_cast<double>(step);
    return {static_cast<Real>(beta1),      static_cast<Real>(beta2),
            static_cast<Real>(eps),        static_cast<Real>(1 / std::sqrt(1 - std::pow(beta2, t))),
            lr / (1 - std::pow(beta1, t)), lr * weight_decay};
}

template <class Real>
struct AdamwArrays {  // n numbers each
    Real* w;
    const Real* grad;
    Real *m, *v;
    Bf16* copy;  // or null
};

// The range of a number, and of those after it.
template <class Real>
struct RangeWalk {
    int n;
    const AdamwRange* ranges;
    int at;  // n: behind the last one
    long end;
    Real rate, keep;
    bool trained;

    __device__ RangeWalk(int n_ranges, const AdamwRange* all, long i) : n(n_ranges), ranges(all) {
        int low = 0, high = n;  // the first range that ends after i
        while (low < high) {
            const int middle = (low + high) / 2;
            if (ranges[middle].end <= i)
                low = middle + 1;
            else
                high = middle;
        }
        at = low;
    }
    __device__ void read(const AdamwFactors<Real>& f) {
        const bool last = at >= n;
        const AdamwRange r = last ? AdamwRange{0, 1, true, true} : ranges[at];
        end = last ? 0x7fffffffffffffffL : r.end;
        rate = static_cast<Real>(f.rate * r.lr_scale);
        keep = static_cast<Real>(r.decay ? 1 - f.lr_decay * r.lr_scale : 1.0);
        trained = r.trained;
    }
    __device__ void go_to(long i, const AdamwFactors<Real>& f) {
        while (at < n && ranges[at].end <= i) ++at;
        read(f);
    }
};

template <class Real, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    adamw_runs(long n, AdamwFactors<Real> f, const double* grad_scale, int n_ranges,
               const AdamwRange* ranges, AdamwArrays<Real> p) {
    if (*grad_scale == 0) return;
    const Real scale = static_cast<Real>(*grad_scale);
    const RunPlace at(1, n);
    if (at.count == 0) return;
    RangeWalk<Real> range(n_ranges, ranges, at.c);
    range.read(f);
    if (!range.trained && at.c + at.count <= range.end) return;
    Real w[kRun], g[kRun], m[kRun], v[kRun];
    load_run<whole>(static_cast<const Real*>(p.w) + at.c, at.count, w);
    load_run<whole>(p.grad + at.c, at.count, g);
    load_run<whole>(static_cast<const Real*>(p.m) + at.c, at.count, m);
    load_run<whole>(static_cast<const Real*>(p.v) + at.c, at.count, v);
#pragma unroll
    for (int j = 0; j < kRun; ++j) {
        if (at.c + j >= range.end) range.go_to(at.c + j, f);
        if (!range.trained) continue;
        const Real x = g[j] * scale;
        m[j] = f.b1 * m[j] + (1 - f.b1) * x;
        v[j] = f.b2 * v[j] + (1 - f.b2) * x * x;
        w[j] = range.keep * w[j] - range.rate * m[j] / (sqrt(v[j]) * f.correction + f.eps);
    }
    store_run<whole>(w, at.count, p.w + at.c);
    store_run<whole>(m, at.count, p.m + at.c);
    store_run<whole>(v, at.count, p.v + at.c);
    if constexpr (sizeof(Real) == 4)
        if (p.copy) store_run<whole>(w, at.count, p.copy + at.c);
}

// ranges (n_ranges) in the device's memory, ascending; numbers after the last are trained and
// decay.
template <class Real>
void adamw(cudaStream_t stream, long n, const AdamwFactors<Real>& f, const double* grad_scale,
           int n_ranges, const AdamwRange* ranges, const AdamwArrays<Real>& p) {
    const bool whole = whole_runs(p.w, 0) && whole_runs(p.grad, 0) && whole_runs(p.m, 0) &&
                       whole_runs(p.v, 0) && whole_runs(p.copy, 0);
    launch_runs(stream, "adamw", 1, n, whole ? adamw_runs<Real, true> : adamw_runs<Real, false>, n,
                f, grad_scale, n_ranges, ranges, p);
}

}  // namespace plumb::gpu
