#include "emulated/memory.h"

#include "emulated/error.h"
#include "emulated/races.h"
#include "emulated/streams.h"

#include <cuda_runtime.h>

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulated {
namespace {

constexpr std::size_t kSpace = std::size_t{64} << 30, kPage = 4096, kAlign = 256;

struct Allocation {
    char* pages;
    std::size_t page_bytes, bytes;
    bool freed = false;
};
std::map<const char*, Allocation> allocations;  // by first byte
char* space = nullptr;
std::size_t used = 0;
bool is_open = false;

std::size_t rounded(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

void protect(const Allocation& a, bool open) {
    mprotect(a.pages, a.page_bytes, open && !a.freed ? PROT_READ | PROT_WRITE : PROT_NONE);
}
// The last allocation that begins at or before p; end() if none does.
auto before(const void* p) {
    auto it = allocations.upper_bound(static_cast<const char*>(p));
    return it == allocations.begin() ? allocations.end() : --it;
}
void forbid_end([[maybe_unused]] const char* p, [[maybe_unused]] const Allocation& a) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(p + a.bytes, a.pages + a.page_bytes - (p + a.bytes));
#endif
}

}  // namespace

void open_memory(bool open) {
    if (open == is_open) return;
    if (!open) check_ends();
    is_open = open;
    for (const auto& [p, a] : allocations)
        if (!a.freed) protect(a, open);
}
bool on_device(const void* p) {
    const char* c = static_cast<const char*>(p);
    return space && c >= space && c < space + kSpace;
}
bool is_allocated(const void* p, std::size_t bytes) {
    const auto it = before(p);
    return it != allocations.end() && !it->second.freed &&
           static_cast<const char*>(p) + bytes <= it->first + it->second.bytes;
}
std::string describe_address(const void* p) {
    if (!on_device(p)) return "an address that is not device memory";
    const char* c = static_cast<const char*>(p);
    const auto it = before(p);
    const auto next = allocations.upper_bound(c);
    const auto of = [](const Allocation& a) {
        return (a.freed ? " of freed " : " of ") + std::to_string(a.bytes) + " bytes";
    };
    if (it != allocations.end() && c < it->first + it->second.bytes)
        return (it->second.freed ? "freed device memory: byte " : "device memory: byte ") +
               std::to_string(c - it->first) + of(it->second);
    if (next != allocations.end() && next->first - c < static_cast<std::ptrdiff_t>(kPage) / 2)
        return std::to_string(next->first - c) + " bytes before the begin" + of(next->second);
    if (it == allocations.end()) return "device memory that is not allocated";
    return std::to_string(c - it->first - static_cast<std::ptrdiff_t>(it->second.bytes)) +
           " bytes past the end" + of(it->second);
}
void check_ends() {
#if !defined(__SANITIZE_ADDRESS__)  // which sees the write itself
    for (const auto& [p, a] : allocations)
        for (const char* c = p + a.bytes; !a.freed && c < a.pages + a.page_bytes; ++c)
            if (*c != '\xff') {
                report(cudaErrorLaunchFailure, "somebody wrote " + describe_address(c));
                *const_cast<char*>(c) = '\xff';
            }
#endif
}

}  // namespace emulated

// ---- calls of the runtime -----------------------------------------------------------------------

using namespace emulated;

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
    if (const cudaError_t e = forbidden_in_capture("cudaMalloc")) return e;
    if (!space) {
        space = static_cast<char*>(
            mmap(nullptr, kSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        catch_bad_addresses();
    }
    const std::size_t page_bytes = rounded(rounded(bytes, kAlign), kPage);
    if (used + page_bytes + 2 * kPage > kSpace) return cudaErrorMemoryAllocation;
    used += kPage;  // that nobody may touch
    Allocation a{space + used, page_bytes, bytes};
    used += page_bytes;
    mprotect(a.pages, page_bytes, PROT_READ | PROT_WRITE);
    races::fill(a.pages, page_bytes);
    char* const first = a.pages + page_bytes - rounded(bytes, kAlign);
    forbid_end(first, a);
    if (!is_open) protect(a, false);
    allocations[first] = a;
    *p = first;
    return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
    if (!p) return cudaSuccess;
    if (const cudaError_t e = forbidden_in_capture("cudaFree")) return e;
    run_all();
    const auto it = allocations.find(static_cast<const char*>(p));
    if (it == allocations.end() || it->second.freed)
        return report(cudaErrorInvalidDevicePointer, "cudaFree of what cudaMalloc did not give");
    it->second.freed = true;
    madvise(it->second.pages, it->second.page_bytes, MADV_DONTNEED);
    protect(it->second, false);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void** p, std::size_t bytes) {
    *p = std::aligned_alloc(kAlign, rounded(bytes, kAlign));
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* p) {
    run_all();
    std::free(p);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    const auto fits = [&](const void* p, bool device) {
        return device ? is_allocated(p, bytes) : !on_device(p);
    };
    if (!fits(to, kind != cudaMemcpyDeviceToHost) || !fits(from, kind != cudaMemcpyHostToDevice))
        return report(cudaErrorInvalidValue,
                      "cudaMemcpyAsync: an address is not what the direction says, or the bytes go "
                      "past the end of its allocation");
    return enqueue(stream, [=] {
        if (bytes > 0) std::memmove(to, from, bytes);
    });
}
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
    if (!is_allocated(p, bytes))
        return report(cudaErrorInvalidValue, "cudaMemsetAsync: not within an allocation");
    return enqueue(stream, [=] { std::memset(p, value, bytes); });
}
