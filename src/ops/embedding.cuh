// Token embedding on a GPU (ops/embedding.h).
//
//     forward    out[n] = table[token[n]]
//     backward   dtable[id] += the sum of dout[n] over the positions n that hold id, n ascending
//
// Layout: tokens (N), table and dtable (V, C) in RealOf<T>, out and dout (N, C) of type T. Forward,
// core/runs.cuh: a thread 8 channels; bytes a number, bf16: 4 + 2.
//
// Backward without atomics and without scratch: a block a position (and 2048 channels) looks
// whether an earlier position holds its id, and is done if one does. Else it goes through the
// positions from its own on, 256 at a time: each thread compares one, those that match are listed
// in order, and then each thread adds up its 8 channels of the listed rows, four of them on their
// way at once, onto the row of dtable. One row, one block, one order of sums, which is the CPU's:
// its bits. Bytes a number of dout: 2, and 4 + 4 a number of each row of dtable that occurs. N^2
// ids are compared, from the first-level cache: at 28 TB/s 0.6 us for N = 2048, 38 us for 16384
// (derived, not measured); what decides below that is the most frequent id, whose rows one block
// adds.
#pragma once

#include "core/runs.cuh"

namespace plumb::gpu {

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads)
    embed(long N, long C, const std::int32_t* tokens, const RealOf<T>* table, T* out) {
    const RunPlace at(N, C);
    if (at.count == 0) return;
    RealOf<T> x[kRun];
    load_run<whole>(table + tokens[at.n] * C + at.c, at.count, x);
    store_run<whole>(x, at.count, out + at.n * C + at.c);
}

// ---- backward -----------------------------------------------------------------------------------

inline constexpr long kSlab = kRunThreads * kRun;  // channels of a block

struct Matches {  // in shared memory
    unsigned votes[kRunThreads / 32];
    int at[kRunThreads];
};

__device__ inline int count_bits(unsigned x) {
#ifdef __CUDA_ARCH__
    return __popc(x);
#else
    return std::popcount(x);
#endif
}

// Lists which of the positions base .. base + 255 hold id, in order, in found.at; how many do.
__device__ inline int list_matches(const std::int32_t* tokens, long base, long N, std::int32_t id,
                                   Matches& found) {
    const int warp = static_cast<int>(threadIdx.x >> 5);
    const long n = base + threadIdx.x;
    const bool same = n < N && tokens[n] == id;
    const unsigned votes = __ballot_sync(~0u, same);
    __syncthreads();  // the list before has been read
    if (lane_id() == 0) found.votes[warp] = votes;
    __syncthreads();
    int place = count_bits(votes & ((1u << lane_id()) - 1)), all = 0;
    for (int w = 0; w < static_cast<int>(kRunThreads / 32); ++w) {
        const int of_warp = count_bits(found.votes[w]);
        if (w < warp) place += of_warp;
        all += of_warp;
    }
    if (same) found.at[place] = static_cast<int>(threadIdx.x);
    __syncthreads();
    return all;
}

// sum += rows `at` of dout, which starts at their position 0 and this thread's channels.
template <bool whole, class T>
__device__ inline void add_rows(const T* dout, long C, int channels, const int* at, int rows,
                                RealOf<T> (&sum)[kRun]) {
    constexpr int ahead = 4;
    for (int first = 0; first < rows; first += ahead) {
        RealOf<T> x[ahead][kRun];
#pragma unroll
        for (int k = 0; k < ahead; ++k)
            if (first + k < rows) load_run<whole>(dout + at[first + k] * C, channels, x[k]);
#pragma unroll
        for (int k = 0; k < ahead; ++k)
#pragma unroll
            for (int j = 0; j < kRun; ++j)
                if (first + k < rows) sum[j] += x[k][j];
    }
}

template <class T, bool whole>
__global__ void __launch_bounds__(kRunThreads, 3)  // said, or nvcc spills for the sake of four
    embed_backward(long N, long C, const std::int32_t* tokens, const T* dout, RealOf<T>* dtable) {
    using Real = RealOf<T>;
    PLUMB_SHARED(Matches, found);
    PLUMB_SHARED(BlockMemory<int>, memory);
    const long slabs = (C + kSlab - 1) / kSlab, own = blockIdx.x / slabs,
               c = blockIdx.x % slabs * kSlab + threadIdx.x * kRun;
    const int channels = c >= C ? 0 : C - c < kRun ? static_cast<int>(C - c) : kRun;
    const std::int32_t id = tokens[own];
    int earlier = 0;
    for (long n = threadIdx.x; n < own; n += kRunThreads) earlier |= tokens[n] == id;
    if (over_block(earlier, memory, [](int a, int b) { return a | b; })) return;
    Real sum[kRun];
    load_run<whole>(static_cast<const Real*>(dtable) + id * C + c, channels, sum);
    for (long base = own; base < N; base += kRunThreads) {
        const int rows = list_matches(tokens, base, N, id, found);
        add_rows<whole>(dout + base * C + c, C, channels, found.at, rows, sum);
    }
    store_run<whole>(sum, channels, dtable + id * C + c);
}

template <class T>
void embedding(cudaStream_t stream, long N, long C, const std::int32_t* tokens,
               const RealOf<T>* table, T* out) {
    const bool whole = whole_runs(table, C) && whole_runs(out, C);
    launch_runs(stream, "embedding", N, C, whole ? embed<T, true> : embed<T, false>, N, C, tokens,
                table, out);
}

template <class T>
void embedding_backward(cudaStream_t stream, long N, long C, const std::int32_t* tokens,
                        const T* dout, RealOf<T>* dtable) {
    const bool whole = whole_runs(dout, C) && whole_runs(dtable, C);
    const auto blocks = static_cast<unsigned>(N * ((C + kSlab - 1) / kSlab));
    if (blocks == 0) return;
    launch(stream, "embedding_backward", whole ? embed_backward<T, true> : embed_backward<T, false>,
           {blocks, kRunThreads}, N, C, tokens, dout, dtable);
}

}  // namespace plumb::gpu
