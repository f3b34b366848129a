// A token's C numbers in the registers of the threads that share it: the vocabulary of the kernels
// over rows. A kernel reads like its CPU loop.
//
// Mapping. W warps share a token; a thread holds V runs of 8 neighbouring channels, run i at
// channel 8 (lane + 32 warp + 32 W i), so 256 V W >= C. A run of bf16 is one 16-byte access, of
// which a warp makes 512 contiguous bytes. Where C is no multiple of 8 (whole = false) a run is
// read number by number. Runs past C are zero. W and V are the launch's choice: one warp a token (W
// = 1) needs no barrier and fits C <= 1024; more warps hold fewer numbers each.
//
// W = 1: a block holds kTokensPerBlock tokens, each in a warp of its own. W > 1: a block is one
// token. A grid goes over the tokens in trips. Work on tokens beyond the last is masked, never
// skipped: all threads of a block reach all barriers.
//
// Sums over a token are added in one order that W and V fix, sums over tokens in one that the grid
// fixes: the same bits in every run. There are no atomics.
#pragma once

#include "core/bf16.h"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

// Shared memory as an object: PLUMB_SHARED(Type, name); inside a kernel.
#ifdef __CUDACC__
#define PLUMB_SHARED(Type, name) __shared__ Type name
#else
#define PLUMB_SHARED(Type, name)      \
    static const char name##_key = 0; \
    Type& name = *static_cast<Type*>(::emulated::shared_object(&name##_key, sizeof(Type)))
#endif

namespace plumb::gpu {

inline constexpr int kRun = 8, kTokensPerBlock = 4, kMaxWarps = 8, kMaxSums = 32;

__device__ inline int lane_id() { return static_cast<int>(threadIdx.x & 31); }

// ---- numbers of a token -------------------------------------------------------------------------
// Every thread of a token computes its few numbers, so they cost as many instructions as a row. In
// float: the device's approximations (ex2, rcp, rsqrt; 1 or 2 ulp), the latter two with one step of
// Newton's, within 1 ulp. For ordinary positive numbers; IEEE division has branches that cost more
// than the rest of a pass of Sinkhorn.

__device__ inline float reciprocal(float x) {
#ifdef __CUDACC__
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
#else
    const float y = emulated::ptx::rcp_approx_ftz(x);
#endif
    return fmaf(y, fmaf(-x, y, 1.0f), y);
}
__device__ inline double reciprocal(double x) { return 1 / x; }
__device__ inline float inverse_sqrt(float x) {
#ifdef __CUDACC__
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
#else
    const float y = emulated::ptx::rsqrt_approx_ftz(x);
#endif
    return y > 0 ? fmaf(0.5f * y, fmaf(-x * y, y, 1.0f), y) : y;  // 0, not NaN, of an infinity
}
__device__ inline double inverse_sqrt(double x) { return 1 / sqrt(x); }
// exp(x) of x <= 0: off by |x| 2^-24 of itself, so by less than 2^-24 of the largest weight.
__device__ inline float weight(float x) {
    const float in_twos = x * 1.44269504f;
#ifdef __CUDACC__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(in_twos));
    return y;
#else
    return emulated::ptx::ex2_approx_ftz(in_twos);
#endif
}
__device__ inline double weight(double x) { return exp(x); }

// ---- sums over the threads of a token -----------------------------------------------------------

// Lane l ends with the sum over the warp of x[l n / 32]: n - 1 shuffles for the first log2(n)
// halvings and 5 - log2(n) more, instead of 5 n. n is a power of two, at most 32.
template <int half, int n, class Real>
__device__ inline void halve(Real (&x)[n]) {  // a recursion: loops of this nest are not unrolled
    if constexpr (half > 0) {
        constexpr int m = 32 * half / n;
        const bool upper = lane_id() & m;
#pragma unroll
        for (int i = 0; i < half; ++i) {
            const Real give = upper ? x[i] : x[i + half], keep = upper ? x[i + half] : x[i];
            x[i] = keep + __shfl_xor_sync(~0u, give, m);
        }
        halve<half / 2>(x);
    }
}
template <int n, class Real>
__device__ inline Real warp_sums(Real (&x)[n]) {
    halve<n / 2>(x);
#pragma unroll
    for (int m = 16 / n; m > 0; m >>= 1) x[0] += __shfl_xor_sync(~0u, x[0], m);
    return x[0];
}

template <class Real>
struct GroupMemory {  // in shared memory
    Real part[2][kMaxWarps][kMaxSums];
};

// The threads of one token.
template <class Real>
struct Group {
    int warps;  // W
    int warp;   // of the token
    // for (long base = g.base; base < N; base += g.stride): the token is base + g.offset.
    long base, stride;
    int offset;
    GroupMemory<Real>* memory;
    int turn = 0;  // which half of `part` the next sum uses: one barrier a sum suffices

    __device__ Group(int w, GroupMemory<Real>& m) : warps(w), memory(&m) {
        const int of_block = static_cast<int>(threadIdx.x >> 5);
        warp = w == 1 ? 0 : of_block;
        const long tokens = w == 1 ? kTokensPerBlock : 1;
        offset = w == 1 ? of_block : 0;
        base = blockIdx.x * tokens;
        stride = gridDim.x * tokens;
    }
    // The one thread that writes what belongs to the token.
    __device__ bool leads() const { return warp == 0 && lane_id() == 0; }

    // Sums of n values over all threads of the token, known to all of them.
    template <int n>
    __device__ void sums(Real (&x)[n]) {
        const Real mine = spread<n>(x);
        constexpr int p = padded<n>();
        if (warps == 1) {
#pragma unroll
            for (int i = 0; i < n; ++i) x[i] = __shfl_sync(~0u, mine, i * (32 / p));
            return;
        }
#pragma unroll
        for (int i = 0; i < n; ++i) x[i] = 0;
        for (int w = 0; w < warps; ++w)
#pragma unroll
            for (int i = 0; i < n; ++i) x[i] += memory->part[turn][w][i];
        turn ^= 1;
    }
    __device__ Real sum(Real v) {
        Real x[1] = {v};
        sums(x);
        return x[0];
    }
    // Sums of n values over all threads of the token, number i known to lane i of each warp.
    template <int n>
    __device__ Real lane_sums(Real (&x)[n]) {
        const Real mine = spread<n>(x);
        constexpr int each = 32 / padded<n>();  // lanes that know a sum
        if (warps == 1) return __shfl_sync(~0u, mine, lane_id() * each % 32);
        Real sum = 0;
        for (int w = 0; w < warps; ++w) sum += memory->part[turn][w][lane_id()];
        turn ^= 1;
        return sum;
    }
    // Sums of n values over all threads of the token, number i to out[i * step].
    template <int n>
    __device__ void store_sums(Real (&x)[n], bool live, Real* out, long step) {
        const Real sum = lane_sums<n>(x);
        if (live && warp == 0 && lane_id() < n) out[lane_id() * step] = sum;
    }

private:
    template <int n>
    __device__ static constexpr int padded() {
        return n <= 1 ? 1 : n <= 2 ? 2 : n <= 4 ? 4 : n <= 8 ? 8 : n <= 16 ? 16 : 32;
    }
    // The warp's sums lie over its lanes, and (W > 1) those of all warps in `part`.
    template <int n>
    __device__ Real spread(Real (&x)[n]) {
        static_assert(n <= kMaxSums);
        constexpr int p = padded<n>();
        Real y[p];
#pragma unroll
        for (int i = 0; i < p; ++i) y[i] = i < n ? x[i] : Real(0);
        const Real mine = warp_sums<p>(y);
        if (warps > 1) {
            if (lane_id() % (32 / p) == 0) memory->part[turn][warp][lane_id() / (32 / p)] = mine;
            __syncthreads();
        }
        return mine;
    }
};

// ---- rows ---------------------------------------------------------------------------------------

template <class Real, int V>
struct Row {
    Real x[V * kRun];
};
template <class Real, int V>
__device__ inline void clear(Row<Real, V>& r) {
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) r.x[j] = 0;
}

template <bool whole_>
struct Place {                             // of a thread in a token's row
    static constexpr bool whole = whole_;  // C is a multiple of 8
    int c, warps, warp;
    template <class Real>
    __device__ Place(int channels, const Group<Real>& g)
        : c(channels), warps(g.warps), warp(g.warp) {}
    __device__ int channel(int i) const { return kRun * (lane_id() + 32 * warp + 32 * warps * i); }
};

// A run as it lies in memory.
template <class T>
struct alignas(16) Run {
    T x[kRun];
};
template <>
struct alignas(16) Run<Bf16> {
    std::uint32_t x[kRun / 2];
};
template <class T>
__device__ inline void unpack(const Run<T>& run, T* x) {
#pragma unroll
    for (int j = 0; j < kRun; ++j) x[j] = run.x[j];
}
template <class T>
__device__ inline void pack(const T* x, Run<T>& run) {
#pragma unroll
    for (int j = 0; j < kRun; ++j) run.x[j] = x[j];
}
__device__ inline float float_of(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    return std::bit_cast<float>(bits);
#endif
}
__device__ inline void unpack(const Run<Bf16>& run, float* x) {  // one instruction a number
#pragma unroll
    for (int j = 0; j < kRun / 2; ++j) {
        x[2 * j] = float_of(run.x[j] << 16);
        x[2 * j + 1] = float_of(run.x[j] & 0xffff0000u);
    }
}
__device__ inline void pack(const float* x, Run<Bf16>& run) {  // one for two
#pragma unroll
    for (int j = 0; j < kRun / 2; ++j) {
#ifdef __CUDA_ARCH__
        const __nv_bfloat162 two = __floats2bfloat162_rn(x[2 * j], x[2 * j + 1]);
        run.x[j] = reinterpret_cast<const std::uint32_t&>(two);
#else
        run.x[j] = Bf16(x[2 * j]).bits | std::uint32_t{Bf16(x[2 * j + 1]).bits} << 16;
#endif
    }
}

// In assembler, for nvcc 13.0 makes of the assignment four stores where it is one of two branches.
template <class T>
__device__ inline void store_at_once(const Run<T>& run, T* p) {
#ifdef __CUDA_ARCH__
    struct Quads {
        uint4 quad[sizeof run / sizeof(uint4)];
    };
    const auto all = __builtin_bit_cast(Quads, run);
#pragma unroll
    for (unsigned i = 0; i < sizeof run / sizeof(uint4); ++i)
        asm volatile(
            "st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(reinterpret_cast<uint4*>(p) + i),
            "r"(all.quad[i].x), "r"(all.quad[i].y), "r"(all.quad[i].z), "r"(all.quad[i].w)
            : "memory");
#else
    *reinterpret_cast<Run<T>*>(p) = run;
#endif
}

// V runs as they lie in memory: a row on its way takes half the registers in bf16.
template <class T, int V>
struct Packed {
    Run<T> run[V];
};
template <class T, int V, class At>
__device__ inline void fetch(const T* p, const At& at, bool live, Packed<T, V>& r) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
        const int c = at.channel(i);
        r.run[i] = {};
        if (!live || c >= at.c) continue;
        if constexpr (At::whole) {
            r.run[i] = *reinterpret_cast<const Run<T>*>(p + c);
        } else {
            RealOf<T> x[kRun];
#pragma unroll
            for (int j = 0; j < kRun; ++j) x[j] = c + j < at.c ? RealOf<T>(p[c + j]) : RealOf<T>(0);
            pack(x, r.run[i]);
        }
    }
}
template <class T, int V>
__device__ inline void unpack(const Packed<T, V>& packed, Row<RealOf<T>, V>& r) {
#pragma unroll
    for (int i = 0; i < V; ++i) unpack(packed.run[i], r.x + i * kRun);
}
template <class T, int V, class At>
__device__ inline void load(const T* p, const At& at, bool live, Row<RealOf<T>, V>& r) {
    Packed<T, V> packed;
    fetch(p, at, live, packed);
    unpack(packed, r);
}
template <class T, int V, class At>
__device__ inline void store(const Row<RealOf<T>, V>& r, const At& at, bool live, T* p) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
        const int c = at.channel(i);
        if (!live || c >= at.c) continue;
        if constexpr (At::whole) {
            Run<T> run;
            pack(r.x + i * kRun, run);
            store_at_once(run, p + c);
        } else {
#pragma unroll
            for (int j = 0; j < kRun; ++j)
                if (c + j < at.c) p[c + j] = static_cast<T>(r.x[i * kRun + j]);
        }
    }
}
template <class Real, int V>
__device__ inline Real dot(const Row<Real, V>& a, const Row<Real, V>& b) {  // this thread's part
    Real s = 0;
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) s += a.x[j] * b.x[j];
    return s;
}
template <class Real, int V>
__device__ inline void axpy(Real w, const Row<Real, V>& a, Row<Real, V>& y) {
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) y.x[j] += w * a.x[j];
}
template <class Real, int V>
__device__ inline void scale(Real w, Row<Real, V>& y) {
#pragma unroll
    for (int j = 0; j < V * kRun; ++j) y.x[j] *= w;
}

// A row of sums over the tokens that a block took, one row a block: part (blocks, C). The block's
// last act.
template <class Real, int V>
struct BlockRow {  // in shared memory
    Real x[V * kRun * 32];
};
template <class Real, int V, class At>
__device__ inline void store_block_sum(Row<Real, V>& r, const Group<Real>& g, const At& at,
                                       BlockRow<Real, V>& memory, Real* part) {
    Real* out = part + static_cast<long>(blockIdx.x) * at.c;
    if (g.warps > 1) return store(r, at, true, out);
    for (int w = 0; w < kTokensPerBlock; ++w) {  // the warps one after the other
        __syncthreads();
        if (static_cast<int>(threadIdx.x >> 5) != w) continue;
#pragma unroll
        for (int i = 0; i < V; ++i)
#pragma unroll
            for (int j = 0; j < kRun; ++j) {
                Real& sum = memory.x[at.channel(i) + j];
                sum = w == 0 ? r.x[i * kRun + j] : sum + r.x[i * kRun + j];
                r.x[i * kRun + j] = sum;
            }
        if (w == kTokensPerBlock - 1) store(r, at, true, out);
    }
}

}  // namespace plumb::gpu
