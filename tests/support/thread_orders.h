// Orders in which the emulated device runs the threads of a block, blocks and streams.
#pragma once

#include "emulated/device.h"

#include <cstdlib>
#include <numeric>
#include <vector>

namespace plumb::test {

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
    const std::uint64_t before = emulated::order();
    for (const std::uint64_t order : thread_orders()) {
        emulated::set_order(order);
        f();
    }
    emulated::set_order(before);
}

}  // namespace plumb::test
