// How a kernel over rows is started (core/row.cuh has the mapping): warps a token, blocks.
#pragma once

#include "core/bf16.h"
#include "core/launch.h"

#include <algorithm>
#include <type_traits>

namespace plumb::gpu {

inline constexpr int kTokensOfOneWarp = 4;  // tokens of a block whose tokens have a warp each

// W, of a thread that holds V runs.
inline int warps_for(int C, int V) { return (C + 256 * V - 1) / (256 * V); }
inline unsigned threads_for(int warps) {
    return static_cast<unsigned>(32 * (warps == 1 ? kTokensOfOneWarp : warps));
}
// Blocks that one trip over N tokens takes.
inline unsigned blocks_for(long N, int warps) {
    const long tokens = warps == 1 ? kTokensOfOneWarp : 1;
    return static_cast<unsigned>((N + tokens - 1) / tokens);
}

// f(C, W, V, whole) for a kernel that sums over rows of C channels, V and whole as constants: one
// warp a token as long as it can be. Measured: a barrier a source costs a third to a half of the
// bandwidth.
template <class T, class F>
void with_runs(int C, F&& f) {
    using std::integral_constant;
    const auto start = [&](auto V, auto whole) { f(C, warps_for(C, V.value), V, whole); };
    const auto runs = [&](auto whole) {
        if (C <= 256) return start(integral_constant<int, 1>{}, whole);
        // Four runs of double, for tests, would not fit the registers.
        if (C <= 512 || sizeof(RealOf<T>) == 8) return start(integral_constant<int, 2>{}, whole);
        start(integral_constant<int, 4>{}, whole);
    };
    if (C % 8 == 0) return runs(std::true_type{});
    runs(std::false_type{});
}

// One trip: for kernels that carry nothing from token to token. New blocks load while old ones
// store, which a block by itself does not (1 to 8 % faster, measured).
inline Grid whole_grid(long N, int warps) { return {blocks_for(N, warps), threads_for(warps)}; }

// For kernels with partial sums, or with rows of the next token on their way: as many blocks as the
// device runs at once, or fewer, so that all make the same number of trips: 8
// blocks of 264 that go round once more than the others cost 3 % of 32 trips. Partial sums over
// tokens are one a block, so their order depends on the device, but not on chance.
template <class... P>
Grid resident_grid(void (*kernel)(P...), long N, int warps, std::size_t shared = 0) {
    const unsigned threads = threads_for(warps);
#ifdef __CUDACC__
    int device = 0, multiprocessors = 0, blocks = 0;
    const void* function = reinterpret_cast<const void*>(kernel);
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
          "multiprocessors");
    allow_shared(function, shared, "shared memory");
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function,
                                                        static_cast<int>(threads), shared),
          "occupancy");
    if (blocks == 0) throw CudaError("a kernel's block does not fit this device");
    const unsigned most = static_cast<unsigned>(multiprocessors * blocks);
#else
    (void)kernel;
    const unsigned most = 3;
#endif
    const unsigned all = blocks_for(N, warps), trips = (all + most - 1) / most;
    return {(all + trips - 1) / trips, threads, shared};
}

}  // namespace plumb::gpu
