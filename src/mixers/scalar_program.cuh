// A scalar program (mixers/scalar_program.h) on a GPU, a thread a token.
//
//     x_i = op(a, b, c)        steps in order; a number is one of u, of p or of the steps before
//     out = some of them
//
// Backward runs the steps again and then their transposes, from the last to the first: each takes
// the gradient of its number back to what it was made of.
//
// Layout: number i of token n at [i N + n], so that a warp, whose threads are at the same step,
// reads and writes neighbours; steps (n_steps, M), M = N rounded up to whole warps. p is the same
// for all tokens: its gradients are added over the lanes of a warp and kept a number a warp, dp
// (n_p, M / 32).
//
// Who computes what. A block is a warp: tokens are few for a GPU, and want all its multiprocessors.
// Lanes past the last token compute on that token, with gradients of 0 and steps of their own, and
// write nothing else. Bytes a token: about four numbers a step forward, ten backward, mostly of
// caches; 2 to 4 flops a step. It is bound by the latency of step after step.
#pragma once

#include "core/launch.h"
#include "core/row.cuh"
#include "mixers/scalar_program.h"
#include "mixers/scalar_sinkhorn.cuh"

namespace plumb::gpu {

inline constexpr long kLanes = 32;
inline long padded_tokens(long N) { return (N + kLanes - 1) / kLanes * kLanes; }

// ---- forward ------------------------------------------------------------------------------------

template <class Real>
struct ScalarMemory {
    const Real* u;  // (n_u, N)
    const Real* p;  // (n_p)
    Real* x;        // (n_steps, M)
    long N, M;
};

template <class Real>
struct TokenScalars {  // a token's part of it
    const Real *u, *p;
    Real* x;
    long N, M;

    __device__ TokenScalars(const ScalarMemory<Real>& m, long n)
        : u(m.u + (n < m.N ? n : m.N - 1)), p(m.p), x(m.x + n), N(m.N), M(m.M) {}
    __device__ Real at(ScalarProgram::Ref r) const {
        return r.of == 0 ? u[r.at * N] : r.of == 1 ? p[r.at] : x[r.at * M];
    }
};

template <class Real>
[[gnu::always_inline]] __device__ inline Real scalar_of(ScalarOp op, Real a, Real b, Real c) {
    switch (op) {
        case ScalarOp::add:
            return a + b;
        case ScalarOp::subtract:
            return a - b;
        case ScalarOp::multiply:
            return a * b;
        case ScalarOp::add_product:
            return c + a * b;
        case ScalarOp::subtract_product:
            return c - a * b;
        case ScalarOp::max:
            return a > b ? a : b;
        case ScalarOp::inverse:
            return Real(1) / a;
        case ScalarOp::exp:
            return exp(a);
        case ScalarOp::sqrt:
            return sqrt(a);
        case ScalarOp::tanh:
            return tanh(a);
        default:  // sigmoid
            return Real(1) / (Real(1) + exp(-a));
    }
}

// All steps of a token. keep: what the transpose of sinkhorn wants goes to saved.
template <class Real>
[[gnu::always_inline]] __device__ inline void run_scalars(const ScalarProgram::Tables& program,
                                                          const TokenScalars<Real>& s,
                                                          Entries<Real> saved, bool keep) {
    for (int k = 0; k < program.n_groups; ++k) {
        const ScalarProgram::Group group = program.groups[k];
        for (int i = group.begin; i < group.end; ++i) {
            const ScalarProgram::Step step = program.steps[i];
            if (group.op == ScalarOp::constant) {
                s.x[i * s.M] = static_cast<Real>(program.constants[i]);
            } else if (group.op == ScalarOp::inner) {
                Real sum = 0;
                for (auto j = step.a.at; j < step.b.at; j += 2)
                    sum += s.at(program.pairs[j]) * s.at(program.pairs[j + 1]);
                s.x[i * s.M] = sum;
            } else if (group.op == ScalarOp::sinkhorn) {
                const Entries<Real> matrix{s.x + (i + 1) * s.M, s.M};
                for (int e = 0; e < program.n_entries; ++e) matrix[e] = s.at(program.matrix[e]);
                sinkhorn_of(program.size, program.rounds, matrix, saved, keep);
                break;
            } else {
                s.x[i * s.M] = scalar_of(group.op, s.at(step.a), s.at(step.b), s.at(step.c));
            }
        }
    }
}

// out (n_outputs, N). Overwrites.
template <class Real>
__global__ void __launch_bounds__(kLanes)
    scalars_forward(ScalarProgram::Tables program, ScalarMemory<Real> memory, Real* out) {
    const long n = blockIdx.x * kLanes + lane_id();
    if (n >= memory.N) return;
    const TokenScalars<Real> s(memory, n);
    run_scalars(program, s, {}, false);
    for (int i = 0; i < program.n_outputs; ++i) out[i * memory.N + n] = s.at(program.outputs[i]);
}

// ---- backward -----------------------------------------------------------------------------------

template <class Real>
struct ScalarGradients {
    const Real* dout;      // (n_outputs, N)
    Real* du;              // (n_u, N)
    Real* dp;              // (n_p, M / 32)
    Real* dx;              // (n_steps, M), scratch
    Real* saved;           // (n_saved, M), scratch
    int first_u, first_p;  // how many of du and dp start as 0 here; added to otherwise
};

template <class Real>
struct TokenGradients {
    Real *du, *dp, *dx;
    long N, M;
    bool live;

    // Called by all lanes of a warp for the same number.
    __device__ void add(ScalarProgram::Ref r, Real d) const {
        if (r.of == 2) {
            dx[r.at * M] += d;
        } else if (r.of == 0) {
            if (live) du[r.at * N] += d;
        } else {
#pragma unroll
            for (int m = 16; m > 0; m >>= 1) d += __shfl_xor_sync(~0u, d, m);
            if (lane_id() == 0) dp[r.at * (M / kLanes)] += d;
        }
    }
};

// Of a token whose p is its own too.
template <class Real>
struct OwnGradients {
    Real *du, *dp, *dx;
    static constexpr long M = 1;

    __device__ void add(ScalarProgram::Ref r, Real d) const {
        (r.of == 0 ? du : r.of == 1 ? dp : dx)[r.at] += d;
    }
};

// The transpose of a step with gradient d and value y.
template <class Real, class Gradients>
[[gnu::always_inline]] __device__ inline void pull_scalar(ScalarOp op, const ScalarProgram::Step& s,
                                                          Real d, Real y,
                                                          const TokenScalars<Real>& in,
                                                          const Gradients& to) {
    switch (op) {
        case ScalarOp::add:
            to.add(s.a, d);
            to.add(s.b, d);
            break;
        case ScalarOp::subtract:
            to.add(s.a, d);
            to.add(s.b, -d);
            break;
        case ScalarOp::add_product:
        case ScalarOp::subtract_product:
            to.add(s.c, d);
            [[fallthrough]];
        case ScalarOp::multiply: {
            const Real along = op == ScalarOp::subtract_product ? -d : d;
            const Real a = in.at(s.a), b = in.at(s.b);
            to.add(s.a, along * b);
            to.add(s.b, along * a);
            break;
        }
        case ScalarOp::inverse:
            to.add(s.a, -d * y * y);
            break;
        case ScalarOp::exp:
            to.add(s.a, d * y);
            break;
        case ScalarOp::sqrt:
            to.add(s.a, Real(0.5) * d / y);
            break;
        case ScalarOp::tanh:
            to.add(s.a, d * (Real(1) - y * y));
            break;
        case ScalarOp::sigmoid:
            to.add(s.a, d * y * (Real(1) - y));
            break;
        default:  // max, constants
            break;
    }
}

template <class Real, class Gradients>
[[gnu::always_inline]] __device__ inline void pull_scalars(const ScalarProgram::Tables& program,
                                                           const TokenScalars<Real>& in,
                                                           Entries<Real> saved,
                                                           const Gradients& to) {
    for (int k = program.n_groups - 1; k >= 0; --k) {
        const ScalarProgram::Group group = program.groups[k];
        if (group.op == ScalarOp::sinkhorn) {
            const Entries<Real> matrix{to.dx + (group.begin + 1) * to.M, to.M};
            sinkhorn_of_backward(program.size, program.rounds, saved, matrix);
            for (int e = 0; e < program.n_entries; ++e) to.add(program.matrix[e], matrix[e]);
            continue;
        }
        for (int i = group.end - 1; i >= group.begin; --i) {
            const ScalarProgram::Step step = program.steps[i];
            const Real d = to.dx[i * to.M];
            if (group.op != ScalarOp::inner) {
                pull_scalar(group.op, step, d, in.x[i * in.M], in, to);
                continue;
            }
            for (auto j = step.a.at; j < step.b.at; j += 2) {
                const ScalarProgram::Ref a = program.pairs[j], b = program.pairs[j + 1];
                to.add(a, d * in.at(b));
                to.add(b, d * in.at(a));
            }
        }
    }
}

// Asks for one block a multiprocessor: for the 32 that fit it would get 64 registers, and spill.
template <class Real>
__global__ void __launch_bounds__(kLanes, 1)
    scalars_backward(ScalarProgram::Tables program, ScalarMemory<Real> memory,
                     ScalarGradients<Real> gradients) {
    const long N = memory.N, M = memory.M, n = blockIdx.x * kLanes + lane_id();
    const TokenScalars<Real> in(memory, n);
    const TokenGradients<Real> to{
        gradients.du + n, gradients.dp + blockIdx.x, gradients.dx + n, N, M, n < N};
    const Entries<Real> saved{gradients.saved + n, M};
    for (int i = 0; to.live && i < gradients.first_u; ++i) to.du[i * N] = 0;
    for (int i = 0; lane_id() == 0 && i < gradients.first_p; ++i) to.dp[i * (M / kLanes)] = 0;
    run_scalars(program, in, saved, true);
    for (int i = 0; i < program.n_steps; ++i) to.dx[i * M] = 0;
    for (int i = 0; i < program.n_outputs; ++i)
        to.add(program.outputs[i], to.live ? gradients.dout[i * N + n] : Real(0));
    pull_scalars(program, in, saved, to);
}

}  // namespace plumb::gpu
