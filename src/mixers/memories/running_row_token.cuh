// RunningRow on a GPU where the weights are the token's (highway, deepnorm): the passes of
// running_row.cuh, with the rule's program (scalar_program.h) run by the first lane of each warp of
// the token, between the sums that it is made of and the rows that it weighs.
//
//     read            w = dots of h, v, a = A(u, w, p), h = a_0 h + a_1 v; u = dots of h. Without w
//                     a follows from u right there, for the next site
//     read_backward   x, q's part in it; <h_l, x>, <v, x>; du, dw, dp = A' of them; dv, dh
//
// Kept of a token and site: its scalars u, w, a, side by side; from site to site du (N, n_u). q is
// read from caches. Bytes a token: running_row.cuh. A program's step waits for the one before, so
// it is bound by latency: some 10 to 40 steps, which the rows of the other tokens hide.
#pragma once

#include "mixers/memories/row_on_gpu.h"
#include "mixers/memories/running_row.cuh"
#include "mixers/scalar_program.cuh"

namespace plumb::gpu {

// A token's program at work, of a warp's first lane.
template <class Real>
struct WarpProgram {  // in shared memory
    Real in[RowUses::kDots], x[RowDotPlaces::kMostSteps];
    Real din[RowUses::kDots], dx[RowDotPlaces::kMostSteps];
};
template <class Real>
struct BlockPrograms {
    WarpProgram<Real> warp[kMaxWarps];
};

// Of site l: A of the write below it, A of its own, the dots u that it asks for.
template <class Real>
struct TokenSite {
    RowDotPlaces dots;
    ScalarProgram::Tables below, own;
    const Real *p_below, *p_own;    // numbers
    Real *below_scalars, *scalars;  // (N, n_dots + 2)
    const Real* q;                  // (C)
    bool asks;                      // for u
};

template <class Real>
__device__ inline void put_dot(int place, Real x, Real* dots) {
    if (place >= 0) dots[place] = x;
}

// a of the dots in memory. By one thread.
template <class Real>
[[gnu::always_inline]] __device__ inline void weigh_token(const ScalarProgram::Tables& program,
                                                          const Real* p, WarpProgram<Real>& memory,
                                                          Real (&a)[2]) {
    const TokenScalars<Real> s({memory.in, p, memory.x, 1, 1}, 0);
    run_scalars(program, s, {}, false);
    a[0] = s.at(program.outputs[0]), a[1] = s.at(program.outputs[1]);
}

template <class T, int V, bool whole>
__global__ void __launch_bounds__(256, 1)
    token_read(long N, int C, int W, bool first, const T* v, RealOf<T>* h, TokenSite<RealOf<T>> s,
               NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    PLUMB_SHARED(BlockPrograms<Real>, programs);
    WarpProgram<Real>& program = programs.warp[threadIdx.x >> 5];
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    const RowDotPlaces dots = s.dots;
    const int n_scalars = dots.n_dots + 2;
    const bool waits = dots.n_dots > dots.n_u;  // for w
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N, mine = live && lane_id() == 0;
        Row<Real, V> x, sum;
        load(v + n * C, at, live, x);
        load(static_cast<const Real*>(h) + n * C, at, live && !first, sum);
        Real a[2] = {1, 1};
        Real* below = s.below_scalars + n * n_scalars;
        if (!first && waits) {
            Real w[3] = {dot(sum, sum), dot(sum, x), dot(x, x)};
            g.sums(w);
            if (mine) {
                for (int i = 0; i < dots.n_u; ++i) program.in[i] = below[i];
                put_dot(dots.w_hh, w[0], program.in);
                put_dot(dots.w_hv, w[1], program.in);
                put_dot(dots.w_vv, w[2], program.in);
                weigh_token(s.below, s.p_below, program, a);
                if (g.warp == 0) {
                    for (int i = dots.n_u; i < dots.n_dots; ++i) below[i] = program.in[i];
                    below[dots.n_dots] = a[0], below[dots.n_dots + 1] = a[1];
                }
            }
            for (Real& i : a) i = __shfl_sync(~0u, i, 0);
        } else if (!first && live) {
            a[0] = below[dots.n_dots], a[1] = below[dots.n_dots + 1];
        }
        scale(a[0], sum);
        axpy(a[1], x, sum);
        store(sum, at, live, h + n * C);
        if (s.asks) {
            Real u[2] = {dot(sum, sum), 0};
            if (s.q) load(s.q, at, true, x);
            if (s.q) u[1] = dot(sum, x);
            g.sums(u);
            if (mine && g.warp == 0) {
                Real* own = s.scalars + n * n_scalars;
                put_dot(dots.hh, u[0], program.in);
                put_dot(dots.hq, u[1], program.in);
                for (int i = 0; i < dots.n_u; ++i) own[i] = program.in[i];
                if (!waits) {
                    weigh_token(s.own, s.p_own, program, a);
                    own[dots.n_dots] = a[0], own[dots.n_dots + 1] = a[1];
                }
            }
        }
        norm_put(norm, g, at, n, live, sum);
    }
}

// ---- backward -----------------------------------------------------------------------------------

// dLoss/da -> dLoss/d(dots) in memory.din; dp is added to. By one thread.
template <class Real>
[[gnu::always_inline]] __device__ inline void weigh_token_backward(
    const ScalarProgram::Tables& program, const Real* p, const Real* scalars, int n_dots, Real da0,
    Real da1, WarpProgram<Real>& memory, Real* dp) {
    for (int i = 0; i < n_dots; ++i) memory.in[i] = scalars[i], memory.din[i] = 0;
    for (int i = 0; i < program.n_steps; ++i) memory.dx[i] = 0;
    const TokenScalars<Real> s({memory.in, p, memory.x, 1, 1}, 0);
    const OwnGradients<Real> to{memory.din, dp, memory.dx};
    run_scalars(program, s, {}, false);
    to.add(program.outputs[0], da0);
    to.add(program.outputs[1], da1);
    pull_scalars(program, s, {}, to);
}

// From <h_l, x>, <v, x> to dots' gradients: du is left for the site below, dp added to. Returns w's
// as what dv and dh get of y = h_l / h_per_y and of v: h below is (h_l - a_1 v) / a_0.
template <class Real>
struct TokenWeights {
    Real dv_x, dh_x, dv_y, dh_y, dv_v, dh_v;
};
template <class Real>
[[gnu::always_inline]] __device__ inline TokenWeights<Real> token_scalars_backward(
    const TokenSite<Real>& s, long n, const Group<Real>& g, bool mine, Real h_per_y,
    const Real (&along)[2], WarpProgram<Real>& program, Real* dp, Real* du) {
    const RowDotPlaces& dots = s.dots;
    const Real* below = s.below_scalars + n * (dots.n_dots + 2);
    Real hh = 0, hv = 0, vv = 0, a0 = 1, a1 = 1;
    if (mine) {
        a0 = below[dots.n_dots], a1 = below[dots.n_dots + 1];
        const Real along_h = a0 == 0 ? Real(0) : (along[0] - a1 * along[1]) / a0;
        weigh_token_backward(s.below, s.p_below, below, dots.n_dots, along_h, along[1], program,
                             dp);
        for (int i = 0; g.warp == 0 && i < dots.n_u; ++i) du[n * dots.n_u + i] = program.din[i];
        if (dots.w_hh >= 0) hh = program.din[dots.w_hh];
        if (dots.w_hv >= 0) hv = program.din[dots.w_hv];
        if (dots.w_vv >= 0) vv = program.din[dots.w_vv];
    }
    a0 = __shfl_sync(~0u, a0, 0), a1 = __shfl_sync(~0u, a1, 0);
    hh = __shfl_sync(~0u, hh, 0), hv = __shfl_sync(~0u, hv, 0), vv = __shfl_sync(~0u, vv, 0);
    const Real inverse = a0 == 0 ? Real(0) : Real(1) / a0, h_y = h_per_y * inverse,
               h_v = -a1 * inverse;
    return {a1, a0, hv * h_y, 2 * hh * h_y, 2 * vv + hv * h_v, hv + 2 * hh * h_v};
}

// du (N, n_u) of this site, then of the one below. Sums of blocks: dq_part, dgain_part (blocks, C;
// the latter null: raw), dp_part (blocks, n_numbers). asks: for u.
template <class Real>
struct TokenSums {
    Real *du, *dq_part, *dp_part, *dgain_part;
    int n_numbers;
};

template <class T, int V, bool whole, bool asks>
__global__ void __launch_bounds__(256, 1)
    token_read_backward(long N, int C, int W, RowEnds ends, const T* v, RealOf<T>* dh, T* dv,
                        TokenSite<RealOf<T>> s, TokenSums<RealOf<T>> sums, NormArgs<T> norm) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    using Sum = BlockRow<Real, V>;
    PLUMB_SHARED(Sum, block_row);
    PLUMB_SHARED(BlockPrograms<Real>, programs);
    using Numbers = WarpNumbers<Real, RowUses::kNumbers>;
    PLUMB_SHARED(Numbers, numbers);
    WarpProgram<Real>& program = programs.warp[threadIdx.x >> 5];
    Real* dp = numbers.x[threadIdx.x >> 5];
    Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Row<Real, V> dgain, dq;
    clear(dgain);
    if constexpr (asks) clear(dq);
    for (int i = 0; lane_id() == 0 && i < sums.n_numbers; ++i) dp[i] = 0;
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> x, y, r;
        load(norm.dx + n * C, at, live, x);
        load(static_cast<const T*>(norm.xhat) + n * C, at, live, y);
        norm_gradient<true>(norm, g, at, n, live, y, x, dgain);
        load(static_cast<const Real*>(dh) + n * C, at, live && !ends.last, r);
        axpy(Real(1), r, x);
        const Real h_per_y = live && norm.rstd ? Real(1) / norm.rstd[n] : Real(1);
        if constexpr (asks) {
            const Real *du = sums.du + n * s.dots.n_u,
                       to_y = live && s.dots.hh >= 0 ? du[s.dots.hh] : Real(0);
            axpy(2 * h_per_y * to_y, y, x);
            if (s.q) {
                const Real to_q = live ? du[s.dots.hq] : Real(0);
                load(s.q, at, true, r);
                axpy(to_q, r, x);
                axpy(h_per_y * to_q, y, dq);
            }
        }
        if (ends.first) {
            store(x, at, live, dh + n * C);
            store(x, at, live, dv + n * C);
            continue;
        }
        load(v + n * C, at, live, r);
        Real along[2] = {dot(y, x), dot(r, x)};
        g.sums(along);
        along[0] *= h_per_y;
        __syncwarp();  // this site's du has been read, before the one below is written over it
        const TokenWeights<Real> w = token_scalars_backward(s, n, g, live && lane_id() == 0,
                                                            h_per_y, along, program, dp, sums.du);
#pragma unroll
        for (int j = 0; j < V * kRun; ++j) {
            const Real xj = x.x[j], yj = y.x[j], vj = r.x[j];
            x.x[j] = w.dh_x * xj + w.dh_y * yj + w.dh_v * vj;
            r.x[j] = w.dv_x * xj + w.dv_y * yj + w.dv_v * vj;
        }
        store(x, at, live, dh + n * C);
        store(r, at, live, dv + n * C);
    }
    if (sums.dgain_part) store_block_sum(dgain, g, at, block_row, sums.dgain_part);
    if constexpr (asks)
        if (s.q) store_block_sum(dq, g, at, block_row, sums.dq_part);
    if (!ends.first && sums.n_numbers > 0)
        store_block_numbers(sums.n_numbers, numbers, W, sums.dp_part);
}

}  // namespace plumb::gpu
