// Launches: what is checked of them, and a grid as blocks one after the other.
#include "emulated/block.h"
#include "emulated/error.h"
#include "emulated/order.h"
#include "emulated/streams.h"

#include <cuda_runtime.h>

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace emulated {
namespace {

std::uint64_t seed = [] {
    const char* text = std::getenv("PLUMB_ORDER");
    return text ? std::strtoull(text, nullptr, 10) : 1;
}();

// To the race detector, blocks of a grid are not ordered, nor are grids of different streams: they
// run on different fibers. It has 8128 of them at most: enough for blocks of 1024 threads here.
constexpr std::size_t kSets = races::on ? 3 : 1, kBlocks = races::on ? 2 : 1;
Block& block_of(std::size_t set, std::size_t turn) {
    static Block blocks[kSets][kBlocks];
    return blocks[set % kSets][turn % kBlocks];
}

bool is_host_memory(std::uint64_t word) {
    unsigned char resident = 0;
    void* const page = reinterpret_cast<void*>(word & ~std::uint64_t{4095});
    return !on_device(reinterpret_cast<void*>(word)) && mincore(page, 1, &resident) == 0;
}
cudaError_t host_memory(const char* kernel, std::uint64_t word) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(word));
    return report(cudaErrorInvalidValue,
                  std::string(kernel) + ": an argument holds the address of host memory, " + text);
}

}  // namespace

void set_order(std::uint64_t s) { seed = s; }
std::uint64_t order() { return seed; }
std::uint64_t thread_switches() {
    std::uint64_t sum = 0;
    for (std::size_t set = 0; set < kSets; ++set)
        for (std::size_t k = 0; k < kBlocks; ++k) sum += block_of(set, k).switches();
    return sum;
}

cudaError_t check_pointer(const char* kernel, const void* p) {
    const auto word = reinterpret_cast<std::uint64_t>(p);
    return word && is_host_memory(word) ? host_memory(kernel, word) : cudaSuccess;
}
// The words of a struct that look like addresses of a heap, a stack or a library. Two ints or two
// floats side by side could too: not those that kernels are given, whose upper one is small.
cudaError_t check_pointers_in(const char* kernel, const void* argument, std::size_t bytes) {
    for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, static_cast<const char*>(argument) + i, 8);
        if (word >> 45 && !(word >> 48) && is_host_memory(word)) return host_memory(kernel, word);
    }
    return cudaSuccess;
}

cudaError_t enqueue(cudaStream_t stream, Launch l) {
    const std::uint64_t threads = std::uint64_t{l.block.x} * l.block.y * l.block.z;
    const bool fits = threads > 0 && threads <= kMaxThreads && l.block.z <= 64 && l.grid.x > 0 &&
                      l.grid.y > 0 && l.grid.z > 0 && l.grid.x <= 0x7fffffffu &&
                      l.grid.y <= 65535 && l.grid.z <= 65535 && l.shared <= kSharedOfBlock;
    if (!fits)
        return report(cudaErrorInvalidConfiguration,
                      std::string(l.name) +
                          ": the launch is beyond the limits of a device (1024 "
                          "threads, 227 KiB of shared memory) or empty");
    return enqueue(stream, [l = std::move(l)] { run_grid(l); });
}

void run_grid(const Launch& l) {
    const std::uint64_t total = std::uint64_t{l.grid.x} * l.grid.y * l.grid.z;
    const auto set = static_cast<std::size_t>(Timeline::current);
    for (std::size_t k = 0; k < kBlocks; ++k) block_of(set, k).prepare(l);
    // A stride that has no divisor in common with their number goes through all blocks.
    Order order(seed);
    std::uint64_t stride = total > 2 ? order.below(total) | 1 : 1;
    while (std::gcd(stride, total) != 1) stride += 2;
    const std::uint64_t first = order.below(total);
    for (std::uint64_t k = 0; k < total && !failed(); ++k) {
        const std::uint64_t b = (first + k * stride) % total;
        block_of(set, k).run(
            l, {static_cast<unsigned>(b % l.grid.x), static_cast<unsigned>(b / l.grid.x % l.grid.y),
                static_cast<unsigned>(b / l.grid.x / l.grid.y)});
    }
    for (std::size_t k = 0; k < kBlocks; ++k) races::acquire(&block_of(set, k).ended);
}

}  // namespace emulated

cudaError_t cudaGetDeviceCount(int* n) {
    *n = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int) {
    *out = {"emulated", std::size_t{64} << 30, 0, 0, 1, 0};
    return cudaSuccess;
}
