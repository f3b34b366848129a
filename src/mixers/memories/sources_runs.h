// Which kernels of Sources there are (sources_on_gpu.h), for what starts them.
#pragma once

#include "core/token_grid.h"
#include "mixers/memories/sources_on_gpu.h"

namespace plumb {

// f(W, V, whole) for rows of C channels, V and whole as constants.
template <class T, class F>
void with_source_runs(int C, F&& f) {
    using std::integral_constant;
    const auto start = [&](auto V, auto whole) { f(gpu::warps_for(C, V.value), V, whole); };
    if (C % 8 != 0) return start(integral_constant<int, 1>{}, std::false_type{});
    switch (SourcesOnGpu<T>::runs(C)) {
        case 1:
            return start(integral_constant<int, 1>{}, std::true_type{});
        case 2:
            return start(integral_constant<int, 2>{}, std::true_type{});
        default:
            if constexpr (SourcesOnGpu<T>::kRounds)
                start(integral_constant<int, 4>{}, std::true_type{});
    }
}

}  // namespace plumb
