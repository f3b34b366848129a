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

std::size_t rounded(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

struct Allocation {
    char* pages;
    std::size_t page_bytes, bytes;
    bool freed = false, open = false;
    Allocation* opened_before = nullptr;
    char* first() const { return pages + page_bytes - rounded(bytes, kAlign); }
};
std::map<const char*, Allocation> allocations;  // by first byte
Allocation* last_opened = nullptr;
char* space = nullptr;
std::size_t used = 0;
bool is_open = false;

void protect(Allocation& a, bool open) {
    mprotect(a.pages, a.page_bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE);
    a.open = open;
}
// The last allocation that begins at or before p; end() if none does.
auto before(const void* p) {
    auto it = allocations.upper_bound(static_cast<const char*>(p));
    return it == allocations.begin() ? allocations.end() : --it;
}
void forbid_end([[maybe_unused]] const Allocation& a) {
#if defined(__SANITIZE_ADDRESS__)
    const char* const end = a.first() + a.bytes;
    ASAN_POISON_MEMORY_REGION(end, a.pages + a.page_bytes - end);
#endif
}

// Reports bytes that were written past the end.
void check_end([[maybe_unused]] const Allocation& a) {
#if !defined(__SANITIZE_ADDRESS__)  // which sees the write itself
    for (char* c = a.first() + a.bytes; c < a.pages + a.page_bytes; ++c)
        if (*c != '\xff') {
            report(cudaErrorLaunchFailure, "somebody wrote " + describe_address(c));
            *c = '\xff';
        }
#endif
}

}  // namespace

void open_memory(bool open) {
    is_open = open;
    if (open) catch_faults();
    for (; !open && last_opened; last_opened = last_opened->opened_before) {
        check_end(*last_opened);
        protect(*last_opened, false);
    }
}
bool open_at(const void* p) {
    const auto it = is_open ? before(p) : allocations.end();
    if (it == allocations.end()) return false;
    Allocation& a = it->second;
    if (a.freed || a.open || p >= a.pages + a.page_bytes) return false;
    protect(a, true);
    a.opened_before = last_opened, last_opened = &a;
    return true;
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
}  // namespace emulated

// ---- calls of the runtime -----------------------------------------------------------------------

using namespace emulated;

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
    if (const cudaError_t e = forbidden_in_capture("cudaMalloc")) return e;
    if (!space)
        space = static_cast<char*>(
            mmap(nullptr, kSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    catch_faults();
    const std::size_t page_bytes = rounded(rounded(bytes, kAlign), kPage);
    if (used + page_bytes + 2 * kPage > kSpace) return cudaErrorMemoryAllocation;
    used += kPage;  // that nobody may touch
    Allocation a{space + used, page_bytes, bytes};
    used += page_bytes;
    protect(a, true);
    races::fill(a.pages, page_bytes);
    forbid_end(a);
    protect(a, false);
    allocations[a.first()] = a;
    *p = a.first();
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
