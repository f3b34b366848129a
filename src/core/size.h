// Sizes of what a user may ask for: products that cannot overflow, and a bound that is said.
#pragma once

#include "core/text.h"
#include "core/view.h"

#include <unistd.h>

#include <string_view>

namespace plumb {

// More than any machine has; far below where sums of 64-bit sizes would overflow.
inline constexpr double kMostBytes = 0x1p50;

// Throws UsageError, naming the tensor, if it or all tensors together (`before` bytes and this one)
// exceed kMostBytes. Call before a product of extents is trusted.
inline void check_size(std::string_view name, const Shape& shape, std::size_t item_bytes,
                       double before) {
    double bytes = static_cast<double>(item_bytes);
    for (int i = 0; i < shape.rank(); ++i) bytes *= static_cast<double>(shape.extent(i));
    if (before + bytes <= kMostBytes) return;
    throw UsageError(fmt::format(
        "this model is too large: with {} {} it needs {}, and the most is {}; make model.layers, "
        "model.width, model.context, train.batch or the vocabulary smaller",
        name, shape.text(), human_bytes(before + bytes), human_bytes(kMostBytes)));
}

// Main memory of this machine.
inline double machine_bytes() {
    return static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
           static_cast<double>(::sysconf(_SC_PAGE_SIZE));
}

// Throws UsageError if `bytes` are more than this machine has: the system would end the program
// without a word once it writes to them.
inline void check_memory(double bytes) {
    if (bytes <= machine_bytes()) return;
    throw UsageError(fmt::format(
        "this needs {} of memory and the machine has {}; make train.batch, model.context or the "
        "model smaller (`plumb train --dry-run` shows what takes how much)",
        human_bytes(bytes), human_bytes(machine_bytes())));
}

}  // namespace plumb
