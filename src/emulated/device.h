// A CUDA device on the CPU: kernels compiled as C++ run here, a fiber for every CUDA thread.
//
// What CUDA leaves open is done at its worst, in an order that a seed names (set_order; PLUMB_ORDER
// in the environment), so that a mistake shows:
//     memory      starts as NaN; shared memory does so again in every block
//     threads     of a block take turns at barriers and warp operations, warps and lanes shuffled;
//                 in odd orders a warp goes on as far as it can before another does
//     blocks      one after the other, in a scrambled order
//     streams     work waits until somebody synchronises, then streams take turns as events allow;
//                 nodes of a graph likewise
//     cp.async    the destination is NaN until the copy is waited for (emulated/ptx.h)
// What is checked: every barrier and warp operation is reached by all its threads, from one place;
// launch limits, shared memory, what an argument points to, addresses (guard pages; host code
// cannot touch device memory), calls that a capture forbids. Built with EMULATED_RACES, every
// thread, stream and graph node is a fiber of ThreadSanitizer too, and only what orders them on a
// GPU orders them there: it then finds races whatever the order was.
//
// What is not modelled: memory order weaker than that, occupancy, time.
#pragma once

#include "emulated/types.h"

#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>

namespace emulated {

using Site = std::source_location;

// ---- for the host -------------------------------------------------------------------------------

void set_order(std::uint64_t seed);  // 0: threads, blocks and streams as they are numbered
std::uint64_t order();
// The first thing that went wrong since the last call, "" if nothing did. Until it is called, all
// work fails.
std::string take_error();
std::uint64_t thread_switches();  // so far
std::uint64_t graph_replays();    // so far

struct Launch {
    const char* name;
    dim3 grid, block;
    std::size_t shared;          // dynamic, bytes
    std::function<void()> body;  // of one thread
};
cudaError_t enqueue(cudaStream_t stream, Launch launch);
// The name says which kernel has an argument that holds the address of host memory.
cudaError_t check_pointer(const char* kernel, const void* p);
cudaError_t check_pointers_in(const char* kernel, const void* argument, std::size_t bytes);

template <class A>
cudaError_t check_argument(const char* kernel, A& a) {
    if constexpr (std::is_pointer_v<A>) return check_pointer(kernel, a);
    if constexpr (std::is_class_v<A>) {
        __builtin_clear_padding(&a);
        return check_pointers_in(kernel, &a, sizeof a);
    }
    return cudaSuccess;
}

template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, const char* name, dim3 grid, dim3 block, std::size_t shared,
                   void (*kernel)(P...), std::tuple<A...>& arguments) {
    static_assert((sizeof(A) + ... + 0) <= 4096, "the parameters of a kernel are 4 KB at most");
    cudaError_t e = cudaSuccess;
    std::apply([&](auto&... a) { ((e = e ? e : check_argument(name, a)), ...); }, arguments);
    if (e) return e;
    return enqueue(stream, {name, grid, block, shared,
                            [kernel, arguments] { std::apply(kernel, arguments); }});
}

// ---- for kernels --------------------------------------------------------------------------------

extern uint3 thread_index, block_index;
extern dim3 block_size, grid_size;

enum class WarpOp : std::uint8_t { sync, shuffle, ballot, mma, ldmatrix };

int lane();
void block_barrier(Site at);
// Every lane of `mask` gives its bits; when all have, each gets those of all 32.
const std::uint64_t* warp_exchange(WarpOp op, unsigned mask, std::uint64_t bits, Site at);
// The block's shared memory: an object for each key, and what the launch asked for.
void* shared_object(const void* key, std::size_t bytes);
void* shared_dynamic();
bool in_shared(const void* p);
bool on_device(const void* p);
[[noreturn]] void fail_here(const char* what, Site at);

template <class T>
T from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}
template <class T>
std::uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

}  // namespace emulated
