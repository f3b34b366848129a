#include "core/device_memory.h"

#include "core/gpu.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace plumb {

namespace {

// Rows of a step lie all over megabytes of memory; in pages of 4 KiB looking up where takes up to a
// tenth of a pass over it. The system gives large pages to who asks (Linux's "madvise").
constexpr std::size_t kLargePage = std::size_t(2) << 20;

void ask_for_large_pages([[maybe_unused]] std::byte* begin, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
    ::madvise(begin, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);  // whole ones: no byte more
#endif
}

}  // namespace

void DeviceFree::operator()(std::byte* p) const {
    if (device == Device::cuda)
        gpu::free(p);
    else
        std::free(p);
}

DeviceMemory allocate_on(Device device, std::size_t bytes) {
    if (device == Device::cuda) return {gpu::allocate(bytes), {device}};
    const std::size_t align = bytes < kLargePage ? kDeviceAlign : kLargePage;
    const std::size_t whole = (bytes + kDeviceAlign) / kDeviceAlign * kDeviceAlign;
    void* p = nullptr;
    if (::posix_memalign(&p, align, whole) != 0) throw std::bad_alloc();
    DeviceMemory memory(static_cast<std::byte*>(p));
    if (align == kLargePage) ask_for_large_pages(memory.get(), bytes);
    std::memset(memory.get(), 0, bytes);
    return memory;
}

void copy_to_host(Device device, void* to, const void* from, std::size_t bytes) {
    if (device == Device::cuda) return gpu::copy_to_host(to, from, bytes);
    if (bytes > 0) std::memmove(to, from, bytes);
}

void copy_from_host(Device device, void* to, const void* from, std::size_t bytes) {
    if (device == Device::cuda) return gpu::copy_to_device(to, from, bytes);
    if (bytes > 0) std::memmove(to, from, bytes);
}

void fill_on(Device device, void* p, int value, std::size_t bytes) {
    if (device == Device::cuda) return gpu::fill(p, value, bytes);
    if (bytes > 0) std::memset(p, value, bytes);
}

}  // namespace plumb
