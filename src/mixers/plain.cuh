// The passes of the plain memory (mixers/plain.h) on a GPU: rows and scalars of tokens.
//
//     dots      u = <row a, row b>, some products a dot
//     read      of a way: h = sum of weights times cells, a mix for each group of channels; its
//               pre-norm
//     write     new rows = the same sums
//     backward  of a read: D from the pre-norm. Then of both, with D the gradient of what was
//               mixed: dweight = <cell, D>, dcell += weight D
//               of dots: da += du b, db += du a
//
// Layout: rows (N, C) of T or Real, found by a table of rows; scalars (numbers, N).
//
// Who computes what. A block takes tokens, one by one. Sums over channels: a team of neighbouring
// lanes, as many as it has channels up to a warp, takes a dot or a weight, lanes go over channels.
// All that is added to rows: a thread has channels c, c + threads, ... of every row, so that the
// same row may be added to twice, and no two threads write one number. Sums over tokens (a
// vector's gradient, dgain) are kept in as many parts as there are blocks, each added to by one
// block, and the parts are added in order.
//
// Bytes a token, d = 2 C or 4 C those of a row: dots and mixes read each row they name (2 rows a
// product, 1 a term); backward of a mix reads a term's row twice and reads and writes its
// gradient; backward of dots reads 2 rows and reads and writes 2 gradients a product. 2 flops a
// number and product or term. Nothing is fused: rows that fit the caches cost their bytes once.
#pragma once

#include "core/runs.cuh"
#include "mixers/plain_tables.h"

namespace plumb::gpu {

inline constexpr int kMostRowThreads = 256;
// A thread a channel.
inline unsigned row_threads(long C) {
    return static_cast<unsigned>(C < kMostRowThreads ? (C + 31) / 32 * 32 : kMostRowThreads);
}

template <class T>
struct PlainRows {
    using Real = RealOf<T>;
    const PlainRow<T>* rows;
    long N, C;
    int groups;
    long width;  // C / groups

    __device__ Real value(int row, long n, long c) const {
        const PlainRow<T>& r = rows[row];
        const long at = n * r.step + c;
        return r.stored ? Real(r.stored[at]) : r.real[at];
    }
    // `part` of the sums over tokens.
    __device__ Real& gradient(int row, long n, long c, long part = 0) const {
        const PlainRow<T>& r = rows[row];
        return r.d[part * r.d_step + n * r.step + c];
    }
};

// Lanes that share a sum over `channels`.
struct Team {
    int lanes, lane, first, count;  // of the team in the block; teams of the block

    __device__ explicit Team(long channels) : lanes(1) {
        while (lanes < 32 && lanes < channels) lanes *= 2;
        lane = static_cast<int>(threadIdx.x) % lanes;
        first = static_cast<int>(threadIdx.x) / lanes;
        count = static_cast<int>(blockDim.x) / lanes;
    }
    // Teams of a warp are at this at once, those without work with zeros.
    template <class Real>
    __device__ Real sum(Real x) const {
        for (int m = lanes / 2; m > 0; m /= 2) x += __shfl_xor_sync(~0u, x, m);
        return x;
    }
};

// ---- dot products -------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_dots(PlainRows<T> rows, PlainHalfTables half, RealOf<T>* u) {
    using Real = RealOf<T>;
    const long n = blockIdx.x;
    const int lane = lane_id(), warps = static_cast<int>(blockDim.x / 32);
    for (int dot = static_cast<int>(threadIdx.x / 32); dot < half.n_dots; dot += warps) {
        Real sum = 0;
        for (int k = half.dots[dot]; k < half.dots[dot + 1]; ++k) {
            const PlainProduct p = half.products[k];
            for (long c = p.first + lane; c < p.first + p.width; c += 32)
                sum += rows.value(p.a, n, c) * rows.value(p.b, n, c);
        }
#pragma unroll
        for (int m = 16; m > 0; m >>= 1) sum += __shfl_xor_sync(~0u, sum, m);
        if (lane == 0) u[(half.first_dot + dot) * rows.N + n] = sum;
    }
}

// A block takes a slice of the channels of every parts-th token.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_dots_backward(PlainRows<T> rows, PlainHalfTables half, long parts, const RealOf<T>* du) {
    using Real = RealOf<T>;
    const long part = blockIdx.x % parts, slice = blockIdx.x / parts,
               c = slice * blockDim.x + threadIdx.x;
    if (c >= rows.C) return;
    for (long n = part; n < rows.N; n += parts)
        for (int k = 0; k < half.n_products; ++k) {
            const PlainProduct p = half.products[k];
            if (c < p.first || c >= p.first + p.width) continue;
            const Real factor = du[static_cast<long>(p.to) * rows.N + n], a = rows.value(p.a, n, c),
                       b = rows.value(p.b, n, c);
            rows.gradient(p.a, n, c, part) += factor * b;
            rows.gradient(p.b, n, c, part) += factor * a;
        }
}

// ---- mixes --------------------------------------------------------------------------------------

// Channel c of the mixes of all groups, of which `first` is the first.
template <class T>
__device__ inline RealOf<T> mixed(const PlainRows<T>& rows, const PlainHalfTables& half, int first,
                                  const RealOf<T>* weights, long n, long c) {
    const int mix = first + static_cast<int>(c / rows.width);
    RealOf<T> sum = 0;
    for (int k = half.mixes[mix]; k < half.mixes[mix + 1]; ++k)
        sum += weights[half.terms[k].at * rows.N + n] * rows.value(half.terms[k].cell, n, c);
    return sum;
}

// Their backward, d the gradient (C) of what they are: by all threads of a block. The gradients of
// weights are overwritten, those of cells added to.
template <class T>
__device__ inline void mixed_backward(const PlainRows<T>& rows, const PlainHalfTables& half,
                                      int first, const RealOf<T>* weights, long n,
                                      const RealOf<T>* d, RealOf<T>* dweights) {
    using Real = RealOf<T>;
    const Team team(rows.width);
    const int end = half.mixes[first + rows.groups];
    for (int begin = half.mixes[first]; begin < end; begin += team.count) {
        const int k = begin + team.first;
        Real sum = 0;
        if (k < end) {
            const long begin_c = half.terms[k].group * rows.width;
            for (long c = begin_c + team.lane; c < begin_c + rows.width; c += team.lanes)
                sum += rows.value(half.terms[k].cell, n, c) * d[c];
        }
        sum = team.sum(sum);
        if (k < end && team.lane == 0) dweights[half.terms[k].at * rows.N + n] = sum;
    }
    for (long c = threadIdx.x; c < rows.C; c += blockDim.x) {
        const int mix = first + static_cast<int>(c / rows.width);
        for (int k = half.mixes[mix]; k < half.mixes[mix + 1]; ++k)
            rows.gradient(half.terms[k].cell, n, c) +=
                weights[half.terms[k].at * rows.N + n] * d[c];
    }
}

template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_write(PlainRows<T> rows, PlainHalfTables half, const RealOf<T>* weights) {
    const long n = blockIdx.x;
    for (int k = 0; k < half.n_written; ++k) {
        const PlainRow<T>& to = rows.rows[half.written[k]];
        for (long c = threadIdx.x; c < rows.C; c += blockDim.x)
            to.real[n * rows.C + c] = mixed(rows, half, k * rows.groups, weights, n, c);
    }
}

// A new row is none of its terms, and a thread has the same channels of all rows: no barrier.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_write_backward(PlainRows<T> rows, PlainHalfTables half, const RealOf<T>* weights,
                         RealOf<T>* dweights) {
    const long n = blockIdx.x;
    for (int k = 0; k < half.n_written; ++k)
        mixed_backward<T>(rows, half, k * rows.groups, weights, n,
                          &rows.gradient(half.written[k], n, 0), dweights);
}

// ---- reads --------------------------------------------------------------------------------------

// A pre-norm, ops/pre_norm.h. What is null is not wanted; raw without rstd.
template <class T>
struct PlainNorm {
    using Real = RealOf<T>;
    T* xhat;           // (N, C)
    Real* rstd;        // (N)
    const Real* gain;  // (C)
    T* x;              // (N, C)
    const T* dx;       // (N, C)
    Real* dgain;       // (blocks, C)
    Real eps;
};

// h (blocks, C) is scratch.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_read(PlainRows<T> rows, PlainHalfTables half, int first, const RealOf<T>* weights,
               PlainNorm<T> norm, RealOf<T>* h) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    h += blockIdx.x * rows.C;
    for (long n = blockIdx.x; n < rows.N; n += gridDim.x) {
        Real square = 0, scale = 1;
        for (long c = threadIdx.x; c < rows.C; c += blockDim.x) {
            h[c] = mixed(rows, half, first, weights, n, c);
            square += h[c] * h[c];
        }
        if (norm.rstd) {
            scale = Real(1) / sqrt(block_sum(square, memory) / Real(rows.C) + norm.eps);
            if (threadIdx.x == 0) norm.rstd[n] = scale;
        }
        for (long c = threadIdx.x; c < rows.C; c += blockDim.x) {
            const Real xhat = scale * h[c];
            norm.xhat[n * rows.C + c] = static_cast<T>(xhat);
            if (norm.x)
                norm.x[n * rows.C + c] = static_cast<T>(norm.gain ? xhat * norm.gain[c] : xhat);
        }
    }
}

// d (blocks, C) is scratch.
template <class T>
__global__ void __launch_bounds__(kMostRowThreads)
    plain_read_backward(PlainRows<T> rows, PlainHalfTables half, int first,
                        const RealOf<T>* weights, PlainNorm<T> norm, RealOf<T>* d,
                        RealOf<T>* dweights) {
    using Real = RealOf<T>;
    PLUMB_SHARED(BlockMemory<Real>, memory);
    d += blockIdx.x * rows.C;
    for (long n = blockIdx.x; n < rows.N; n += gridDim.x) {
        const T *dx = norm.dx + n * rows.C, *xhat = norm.xhat + n * rows.C;
        Real along = 0;
        for (long c = threadIdx.x; c < rows.C; c += blockDim.x) {
            d[c] = Real(dx[c]);
            if (!norm.rstd) continue;
            if (norm.dgain) norm.dgain[blockIdx.x * rows.C + c] += d[c] * Real(xhat[c]);
            if (norm.gain) d[c] *= norm.gain[c];
            along += d[c] * Real(xhat[c]);
        }
        if (norm.rstd) {
            along = block_sum(along, memory) / Real(rows.C);
            for (long c = threadIdx.x; c < rows.C; c += blockDim.x)
                d[c] = norm.rstd[n] * (d[c] - Real(xhat[c]) * along);
        }
        __syncthreads();  // every team reads d
        mixed_backward(rows, half, first, weights, n, static_cast<const Real*>(d), dweights);
        __syncthreads();  // the next token's comes there
    }
}

}  // namespace plumb::gpu
