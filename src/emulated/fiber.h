// A fiber: a stack that is left and gone on with, by jump(). The sanitizers are told where we are.
#pragma once

#include "emulated/races.h"

#include <boost/context/detail/fcontext.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulated {

struct Fiber {
    boost::context::detail::fcontext_t context = nullptr;
    char* stack = nullptr;  // its lowest byte
    std::size_t bytes = 0;
    void* of_races = nullptr;  // ThreadSanitizer's fiber
    void* fake = nullptr;      // AddressSanitizer's stack
    bool left_for_good = false;
};
using Entry = void (*)(boost::context::detail::transfer_t);

inline void begin(Fiber& f, Entry entry) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(f.stack, f.bytes);  // one left in the middle keeps its marks
#endif
    f.context = boost::context::detail::make_fcontext(f.stack + f.bytes, f.bytes, entry);
    if (f.of_races) races::end_fiber(f.of_races);
    f.of_races = races::new_fiber();
    f.fake = nullptr, f.left_for_good = false;
}
// On the other side of a jump, as the first thing: in jump(), and in an entry.
inline void arrive(boost::context::detail::transfer_t from, [[maybe_unused]] Fiber& self) {
    Fiber& before = *static_cast<Fiber*>(from.data);
    before.context = from.fctx;
#if defined(__SANITIZE_ADDRESS__)
    const void* bottom = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(self.fake, &bottom, &bytes);
    if (!before.stack)  // the operating system's
        before.stack = static_cast<char*>(const_cast<void*>(bottom)), before.bytes = bytes;
#endif
}
inline void jump(Fiber& from, Fiber& to) {
    races::to_fiber(to.of_races);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(from.left_for_good ? nullptr : &from.fake, to.stack, to.bytes);
#endif
    arrive(boost::context::detail::jump_fcontext(to.context, &from), from);
}

}  // namespace emulated
