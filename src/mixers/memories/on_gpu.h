// For memories whose passes on a GPU are another class's than those on the CPU.
#pragma once

#include "core/dispatch.h"

#include <type_traits>

namespace plumb {

// f(Cuda{}); InternalError where ctx is not of a GPU. For what CMakeLists.txt lists as
// device_sources.
template <class F>
void on_gpu(const Context& ctx, F&& f) {
    dispatch(ctx, "mixer", [&](auto device) {
        if constexpr (std::is_same_v<decltype(device), Cpu>)
            throw InternalError("a memory's passes on the CPU are not those on a GPU");
        else
            f(device);
    });
}

}  // namespace plumb
