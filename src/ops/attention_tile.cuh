// Tiles of attention (ops/attention.cuh) in shared memory, and what a block of 256 threads does
// with them: rows of heads are loaded, normed and turned; small matrices are multiplied.
//
// A block is 16 x 16 threads: a row of a tile belongs to the 16 threads of one `row()`, which are
// half a warp, row r to those of r % 16; of a product each thread computes tile / 16 rows by as
// many columns at a time, in registers. Rows in shared memory lie an odd number of numbers apart,
// so that 16 neighbours in a column are in 16 banks.
#pragma once

#include "core/ring.cuh"
#include "ops/dropout.cuh"

namespace plumb::gpu {

inline constexpr unsigned kTileThreads = 256;

__device__ inline int tile_row() { return static_cast<int>(threadIdx.x >> 4); }
__device__ inline int tile_column() { return static_cast<int>(threadIdx.x & 15); }

// Bytes of shared memory that a block can have.
inline std::size_t most_shared() {
#ifdef __CUDACC__
    int device = 0, bytes = 0;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          "shared memory of a block");
    return static_cast<std::size_t>(bytes);
#else
    return std::size_t{227} << 10;
#endif
}

// Over the 16 threads of a row, known to all of them.
template <class Real, class F>
__device__ inline Real over_row(Real x, F&& both) {
#pragma unroll
    for (int m = 8; m > 0; m >>= 1) x = both(x, __shfl_xor_sync(~0u, x, m));
    return x;
}
template <class Real>
__device__ inline Real row_sum(Real x) {
    return over_row(x, [](Real a, Real b) { return a + b; });
}

// Rows of a head in shared memory.
template <class Real>
struct Matrix {
    Real* x;
    int stride;
    __device__ Real& operator()(int i, int j) const { return x[i * stride + j]; }
};
PLUMB_BOTH inline constexpr int odd_stride(int columns) { return columns | 1; }

// Matrices one after the other in dynamic shared memory.
template <class Real>
struct SharedTiles {
    Real* next;
    __device__ SharedTiles() : next(static_cast<Real*>(dynamic_shared())) {}
    __device__ Matrix<Real> take(int rows, int columns) {
        const Matrix<Real> m{next, odd_stride(columns)};
        next += rows * m.stride;
        return m;
    }
};

// put(i, j, sum_k a(i, k) b(k, j)) for i < tile, j < columns, k < inner; `i` of this thread is
// tile_row() + 16 r: put gets r too.
template <int tile, class Real, class A, class B, class Put>
__device__ inline void product(int columns, int inner, A&& a, B&& b, Put&& put) {
    constexpr int m = tile / 16;
    for (int first = tile_column(); first < columns; first += tile) {
        Real sum[m][m] = {};
        for (int k = 0; k < inner; ++k) {
            Real x[m], y[m];
#pragma unroll
            for (int r = 0; r < m; ++r) x[r] = a(tile_row() + 16 * r, k);
#pragma unroll
            for (int c = 0; c < m; ++c) {
                const int j = first + 16 * c;
                y[c] = j < columns ? b(k, j) : Real(0);
            }
#pragma unroll
            for (int r = 0; r < m; ++r)
#pragma unroll
                for (int c = 0; c < m; ++c) sum[r][c] += x[r] * y[c];
        }
#pragma unroll
        for (int r = 0; r < m; ++r)
#pragma unroll
            for (int c = 0; c < m; ++c)
                if (first + 16 * c < columns)
                    put(r, tile_row() + 16 * r, first + 16 * c, sum[r][c]);
    }
}

// ---- heads --------------------------------------------------------------------------------------

// The rows t of one head of one sequence: `stride` numbers apart, D long.
template <class T>
struct HeadRows {
    T* data;
    long stride;
    __device__ T* row(long t) const { return data + t * stride; }
};

// What norm and rotation of the query or key heads need.
template <class Real>
struct TurnArgs {
    const Real *cos, *sin;  // (T, D/2)
    const Real* gain;       // (D) or null: no norm
    Real eps, scale;
};

// 1 / rms of a row, where it is normed.
template <class T>
__device__ inline RealOf<T> inverse_rms(const T* x, bool live, int D, RealOf<T> eps) {
    using Real = RealOf<T>;
    Real square = 0;
    if (live)
        for (int i = tile_column(); i < D; i += 16) square += Real(x[i]) * Real(x[i]);
    return inverse_sqrt(row_sum(square) / Real(D) + eps);
}

// y (tile, D) = rows first .. of x, of which there are T; zeros past them.
template <int tile, class T>
__device__ inline void load_rows(HeadRows<const T> x, long first, long context, int D,
                                 Matrix<RealOf<T>> y) {
    using Real = RealOf<T>;
    for (int i = tile_row(); i < tile; i += 16)
        for (int j = tile_column(); j < D; j += 16)
            y(i, j) = first + i < context ? Real(x.row(first + i)[j]) : Real(0);
}

// The same, scale * rotated (gain * normed).
template <int tile, class T>
__device__ inline void load_turned(HeadRows<const T> x, const TurnArgs<RealOf<T>>& f, long first,
                                   long context, int D, Matrix<RealOf<T>> y) {
    using Real = RealOf<T>;
    const int half = D / 2;
    for (int i = tile_row(); i < tile; i += 16) {
        const long t = first + i;
        const bool live = t < context;
        const T* row = x.row(t);
        Real r = 1;
        if (f.gain) r = inverse_rms(row, live, D, f.eps);
        for (int j = tile_column(); j < half; j += 16) {
            Real a = 0, b = 0, cos = 0, sin = 0;
            if (live) {
                a = Real(row[j]) * r * f.scale, b = Real(row[j + half]) * r * f.scale;
                cos = f.cos[t * half + j], sin = f.sin[t * half + j];
                if (f.gain) a *= f.gain[j], b *= f.gain[j + half];
            }
            y(i, j) = a * cos - b * sin;
            y(i, j + half) = b * cos + a * sin;
        }
    }
}

// The transpose: dy (tile, D), which is lost, -> rows of dx, and, where there is a gain, this
// block's dgain (D). x: what was loaded. For all threads of the block, behind a barrier.
template <int tile, class T>
__device__ inline void store_turned_back(Matrix<RealOf<T>> dy, HeadRows<const T> x,
                                         const TurnArgs<RealOf<T>>& f, long first, long context,
                                         int D, HeadRows<T> dx, RealOf<T>* dgain) {
    using Real = RealOf<T>;
    const int half = D / 2;
    for (int i = tile_row(); i < tile; i += 16) {
        const long t = first + i;
        const bool live = t < context;
        const T* row = x.row(t);
        T* to = dx.row(t);
        Real r = 1, along = 0;  // along: <dxhat, xhat>
        if (f.gain) r = inverse_rms(row, live, D, f.eps);
        for (int j = tile_column(); j < half && live; j += 16) {
            const Real a = dy(i, j) * f.scale, b = dy(i, j + half) * f.scale,
                       cos = f.cos[t * half + j], sin = f.sin[t * half + j], da = a * cos + b * sin,
                       db = b * cos - a * sin;
            if (f.gain) {
                dy(i, j) = da, dy(i, j + half) = db;
                along += da * f.gain[j] * r * Real(row[j]);
                along += db * f.gain[j + half] * r * Real(row[j + half]);
            } else {
                to[j] = static_cast<T>(da), to[j + half] = static_cast<T>(db);
            }
        }
        if (!f.gain) continue;
        along = row_sum(along) / Real(D);
        for (int j = tile_column(); j < half; j += 16)  // the numbers that this thread left
            for (const int k : {j, j + half}) {
                const Real xhat = live ? r * Real(row[k]) : Real(0), d = live ? dy(i, k) : Real(0);
                if (live) to[k] = static_cast<T>(r * (d * f.gain[k] - xhat * along));
                dy(i, k) = d * xhat;
            }
    }
    if (!f.gain) return;
    __syncthreads();
    for (int j = static_cast<int>(threadIdx.x); j < D; j += static_cast<int>(kTileThreads)) {
        Real sum = 0;
        for (int i = 0; i < tile; ++i) sum += dy(i, j);
        dgain[j] = sum;
    }
}

}  // namespace plumb::gpu
