// Rows of a token on their way from memory: a ring in shared memory of the last P rows that a block
// asked for, filled by cp.async (sm_80 and later), so that many bytes are in flight and no register
// waits for them. A thread copies exactly what it reads itself, so no barrier is needed, and a row
// may be read any number of times until it is given back.
//
//     Ring<T, V, P> ring(dynamic_shared(), at);
//     P times push();  then, again and again:  ring.wait<G>();  ring.row(0..G-1);  ring.pop<G>();
//     G times push().  A push of nothing (live = false) is a row of zeros.
//
// Layout: run i of stage s of thread t at ((s V + i) threads + t) runs: a warp reads 512 bytes in a
// row, free of bank conflicts. Bytes: ring_bytes() a block.
#pragma once

#include "core/row.cuh"

namespace plumb::gpu {

template <class T, int V, int P>
PLUMB_BOTH constexpr std::size_t ring_bytes(unsigned threads) {
    return sizeof(Run<T>) * V * P * threads;
}

// The block's dynamic shared memory.
__device__ inline void* dynamic_shared() {
#ifdef __CUDACC__
    extern __shared__ __align__(16) unsigned char bytes[];
    return bytes;
#else
    return emulated::shared_dynamic();
#endif
}

// 16 bytes to shared memory, later; zeros if not live.
__device__ inline void copy_later(void* to, const void* from, bool live) {
#ifdef __CUDACC__
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(to))),
                 "l"(from), "r"(live ? 16 : 0)
                 : "memory");
#else
    emulated::ptx::cp_async_16(to, from, live);
#endif
}
__device__ inline void close_group() {
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulated::ptx::cp_async_commit_group();
#endif
}
// Until all but the newest n groups have arrived.
template <int n>
__device__ inline void wait_for_groups() {
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
#else
    emulated::ptx::cp_async_wait_group(n);
#endif
}

template <class T, int V, int P, bool whole>
class Ring {
public:
    // `any`: an address of device memory, which a copy of nothing names.
    __device__ Ring(void* memory, const Place<whole>& at, const T* any = nullptr)
        : mine_(static_cast<Run<T>*>(memory) + threadIdx.x), at_(at), any_(any) {}

    // `p`: the token's row, some address of device memory if not live.
    __device__ void push(const T* p, bool live) {
#pragma unroll
        for (int i = 0; i < V; ++i) start(i, p, at_.channel(i), live);
        close();
    }
    // Instead of V runs of one row, run `of_row` of V rows: f(i) is row i, null for zeros.
    template <class F>
    __device__ void push_run(int of_row, F&& f) {
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const T* p = f(i);
            start(i, p ? p : any_, at_.channel(of_row), p != nullptr);
        }
        close();
    }
    // The oldest n rows of P that were pushed are here.
    template <int n = 1>
    __device__ void wait() const {
        wait_for_groups<P - n>();
    }
    // The i-th oldest.
    __device__ void row(int i, Row<RealOf<T>, V>& r) const {
#pragma unroll
        for (int v = 0; v < V; ++v) run(i, v, r.x + v * kRun);
    }
    __device__ void packed(int i, Packed<T, V>& r) const {
#pragma unroll
        for (int v = 0; v < V; ++v) r.run[v] = *slot(stage(i), v);
    }
    // Run v of the i-th oldest.
    __device__ void run(int i, int v, RealOf<T>* x) const { unpack(*slot(stage(i), v), x); }
    template <int n = 1>
    __device__ void pop() {
        oldest_ += n;
        if (oldest_ >= P) oldest_ -= P;
    }

private:
    __device__ void start(int i, const T* p, int c, bool live) {
        const bool there = live && c < at_.c;
        Run<T>* to = slot(newest_, i);
        if constexpr (whole) {
            const char* from = reinterpret_cast<const char*>(p + (there ? c : 0));
#pragma unroll
            for (int b = 0; b < static_cast<int>(sizeof(Run<T>)); b += 16)
                copy_later(reinterpret_cast<char*>(to) + b, from + b, there);
        } else {
            RealOf<T> x[kRun];
#pragma unroll
            for (int j = 0; j < kRun; ++j)
                x[j] = there && c + j < at_.c ? RealOf<T>(p[c + j]) : RealOf<T>(0);
            pack(x, *to);
        }
    }
    __device__ void close() {
        close_group();
        if (++newest_ == P) newest_ = 0;
    }
    __device__ int stage(int i) const { return oldest_ + i < P ? oldest_ + i : oldest_ + i - P; }
    __device__ Run<T>* slot(int stage, int i) const { return mine_ + (stage * V + i) * blockDim.x; }

    Run<T>* mine_;
    Place<whole> at_;
    const T* any_;
    int newest_ = 0, oldest_ = 0;
};

}  // namespace plumb::gpu
