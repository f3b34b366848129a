// Orders in which the emulated device runs the threads of a block, blocks and streams. A GPU
// (PLUMB_ON_GPU) has its own.
#pragma once

#ifndef PLUMB_ON_GPU
#include "emulated/device.h"
#endif

#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace plumb::test {

#ifdef PLUMB_ON_GPU
inline std::uint64_t thread_order() { return 0; }
inline void set_thread_order(std::uint64_t) {}
#else
inline std::uint64_t thread_order() { return emulated::order(); }
inline void set_thread_order(std::uint64_t order) { emulated::set_order(order); }
#endif

// As they are numbered, and others by chance: three, or as many as PLUMB_ORDERS says.
inline const std::vector<std::uint64_t>& thread_orders() {
    static const std::vector<std::uint64_t> orders = [] {
        std::vector<std::uint64_t> all{0, 1, 7};
        if (const char* n = std::getenv("PLUMB_ORDERS")) {
            all.resize(std::strtoull(n, nullptr, 10));
            std::iota(all.begin(), all.end(), 0u);
        }
        return all;
    }();
    return orders;
}

// f(), in each of them.
template <class F>
void in_every_order(F&& f) {
    const std::uint64_t before = thread_order();
    for (const std::uint64_t order : thread_orders()) {
        set_thread_order(order);
        f();
    }
    set_thread_order(before);
}

}  // namespace plumb::test
