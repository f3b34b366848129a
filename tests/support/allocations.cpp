#include "support/allocations.h"

#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr int kDepth = 40;
std::atomic<bool> counting{false};
std::atomic<long> n_ours{0}, n_onednn{0};
std::array<void*, kDepth> first_stack;
int first_depth = 0;

#ifndef __SANITIZE_ADDRESS__
bool from_onednn(void* const* stack, int depth) {
    for (int i = 0; i < depth; ++i)
        if (Dl_info info{}; dladdr(stack[i], &info) != 0 && info.dli_fname != nullptr &&
                            std::strstr(info.dli_fname, "libdnnl") != nullptr)
            return true;
    return false;
}

void count() {
    if (!counting.exchange(false)) return;  // what counting allocates does not count
    std::array<void*, kDepth> stack{};
    const int depth = backtrace(stack.data(), kDepth);
    if (from_onednn(stack.data(), depth))
        ++n_onednn;
    else if (n_ours++ == 0)
        first_stack = stack, first_depth = depth;
    counting = true;
}

void* allocate(std::size_t size, std::size_t alignment) {
    count();
    if (size == 0) size = 1;
    void* p = nullptr;
    if (posix_memalign(&p, alignment < sizeof(void*) ? sizeof(void*) : alignment, size) != 0)
        throw std::bad_alloc();
    return p;
}
#endif

}  // namespace

#ifndef __SANITIZE_ADDRESS__
void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t a) {
    return allocate(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
    return allocate(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#endif

namespace plumb::test {

void start_counting() {
    std::array<void*, 2> stack{};
    backtrace(stack.data(), 2);  // loads what it needs
    n_ours = n_onednn = 0;
    first_depth = 0;
    counting = true;
}

Allocations stop_counting() {
    counting = false;
    Allocations a{n_ours, n_onednn, {}};
    for (int i = 0; i < first_depth; ++i) {
        Dl_info info{};
        if (dladdr(first_stack[static_cast<std::size_t>(i)], &info) == 0) continue;
        std::array<char, 400> line{};
        std::snprintf(
            line.data(), line.size(), "%s+0x%zx\n", info.dli_fname,
            static_cast<std::size_t>(static_cast<char*>(first_stack[static_cast<std::size_t>(i)]) -
                                     static_cast<char*>(info.dli_fbase)));
        a.where += line.data();
    }
    return a;
}

}  // namespace plumb::test
