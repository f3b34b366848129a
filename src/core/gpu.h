// The GPU, as host code sees it: memory, and copies in the order in which all else is asked of it.
// One device and one stream, with a second one for what beside() says; kernels are started by
// core/launch.h. Whoever reads what the device made waits for it; nobody else does.
//
// In a build without CUDA (PLUMB_CUDA=OFF) version() and devices() are empty, free() and join() do
// nothing, and all else throws UsageError.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace plumb::gpu {

// Rows of partial sums over N tokens, one a block of a kernel: of N alone, so that sums have the
// same order on every GPU.
inline constexpr std::ptrdiff_t kPartialRows = 512, kTokensOfPartial = 4;
inline std::ptrdiff_t partial_rows(std::ptrdiff_t tokens) {
    const std::ptrdiff_t all = (tokens + kTokensOfPartial - 1) / kTokensOfPartial;
    return all < kPartialRows ? all : kPartialRows;
}

// Of the CUDA toolkit that kernels were built with, or "emulated" (src/emulated); empty: none were.
const char* version();
bool is_emulated();
// Devices the CUDA runtime reports, one line each.
std::string devices();
// Throws UsageError in one line where there is no device to compute on: no CUDA in this build, no
// driver, no GPU.
void require_device();

// Bytes that are 0. Throws UsageError where the device's memory does not hold them.
std::byte* allocate(std::size_t bytes);
void free(std::byte* p) noexcept;

// `from` is the caller's again when this returns.
void copy_to_device(void* to, const void* from, std::size_t bytes);
// Waits for what the device was asked before.
void copy_to_host(void* to, const void* from, std::size_t bytes);
// Until the device has done all that it was asked.
void wait();
// Every byte is `value`.
void fill(void* p, int value, std::size_t bytes);

// What `ask` asks runs beside what is asked after it, until join(): on a second stream, where it
// begins once all that was asked before is done. Until then nobody writes what it reads, nor reads
// what it writes. It starts products, and kernels whose scratch nobody shares. PLUMB_SIDE=0 in the
// environment, as PLUMB_SYNC=1, has it asked in its turn.
void beside(const std::function<void()>& ask);
// What is asked from here on comes after all that was asked beside. Copies and wait() begin so.
void join();

// Points of what the device is asked, and when it came past them, by its own clock. What runs
// beside shows where it is joined, and only as far as that has to wait for it.
class Marks {
public:
    Marks() = default;
    ~Marks();
    Marks(const Marks&) = delete;
    Marks& operator=(const Marks&) = delete;
    void mark();
    // Seconds from each point to the next, once the device has done what it was asked. NaN on the
    // emulated device, which has no time.
    std::vector<double> seconds() const;

private:
    std::vector<void*> events_;
};

// What is asked of the device again and again, as a CUDA graph: one call starts all of it, and the
// device goes from kernel to kernel without the host. The first run() asks as it stands. Later ones
// write down what is asked, anew each time, so that kernels may have other arguments than before,
// and put it in the place of what was written down last.
// PLUMB_GRAPH=0 in the environment, as PLUMB_SYNC=1, has everything asked as it stands.
class Graph {
public:
    Graph() = default;
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    // `ask` starts kernels, products and fill() alone, and joins what it asks beside: it neither
    // waits for the device nor copies from or to the host nor allocates, but in the first call.
    // CudaError says what cannot be written down; what ask() throws passes through.
    void run(const std::function<void()>& ask);

private:
    void* made_ = nullptr;  // cudaGraphExec_t
    bool asked_ = false;
};

}  // namespace plumb::gpu
