// What ThreadSanitizer is told, in builds with EMULATED_RACES: this room is compiled without it, so
// it knows of fibers and of what orders them what is said here, and sees the accesses of kernels.
#pragma once

#include <cstddef>
#include <cstring>

#ifdef EMULATED_RACES
#include <sanitizer/tsan_interface.h>
#include <sys/mman.h>
#endif

namespace emulated::races {

#ifdef EMULATED_RACES
inline constexpr bool on = true;
inline void* new_fiber() { return __tsan_create_fiber(0); }
inline void end_fiber(void* f) { __tsan_destroy_fiber(f); }
inline void* this_fiber() { return __tsan_get_current_fiber(); }
// Orders nothing.
inline void to_fiber(void* f) { __tsan_switch_to_fiber(f, __tsan_switch_to_fiber_no_sync); }
// What came before a release of `tag` comes before what follows a later acquire.
inline void release(void* tag) { __tsan_release(tag); }
inline void acquire(void* tag) { __tsan_acquire(tag); }
// Whole pages that nobody has touched yet: ThreadSanitizer sees the call, and forgets who had.
inline void forget(void* p, std::size_t bytes) {
    mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
}
// Bytes 0xff, unseen: not memset, which is seen.
inline void fill(void* p, std::size_t bytes) {
    auto* c = static_cast<volatile unsigned char*>(p);
    for (std::size_t i = 0; i < bytes; ++i) c[i] = 0xff;
}
#else
inline constexpr bool on = false;
inline void* new_fiber() { return nullptr; }
inline void end_fiber(void*) {}
inline void* this_fiber() { return nullptr; }
inline void to_fiber(void*) {}
inline void release(void*) {}
inline void acquire(void*) {}
inline void forget(void*, std::size_t) {}
inline void fill(void* p, std::size_t bytes) { std::memset(p, 0xff, bytes); }
#endif

}  // namespace emulated::races
