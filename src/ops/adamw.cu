#include "ops/adamw.h"

#include "core/device_memory.h"
#include "core/gpu_stream.h"
#include "ops/adamw.cuh"

#include <algorithm>

namespace plumb {
namespace {

bool same(const UpdateRange& a, const gpu::AdamwRange& b) {
    return a.end == b.end && a.lr_scale == b.lr_scale && a.decay == b.decay &&
           a.trained == b.trained;
}

// Ranges in the device's memory: made at an optimizer's first step, never changed and kept, for its
// later steps may be in a graph, and several optimizers may step in turn.
struct KeptRanges {
    std::vector<gpu::AdamwRange> ranges;
    DeviceArray<gpu::AdamwRange> memory;
};

const gpu::AdamwRange* on_device(std::span<const UpdateRange> ranges) {
    static std::vector<KeptRanges> all;
    const auto same_ranges = [&](const KeptRanges& kept) {
        return std::equal(ranges.begin(), ranges.end(), kept.ranges.begin(), kept.ranges.end(),
                          same);
    };
    auto at = std::find_if(all.begin(), all.end(), same_ranges);
    if (at == all.end()) {
        KeptRanges kept;
        for (const UpdateRange& r : ranges)
            kept.ranges.push_back({r.end, r.lr_scale, r.decay, r.trained});
        kept.memory = DeviceArray<gpu::AdamwRange>(std::ssize(ranges), Device::cuda);
        put(kept.memory.view(), kept.ranges.data());
        at = all.insert(all.end(), std::move(kept));
    }
    return at->memory.view().data;
}

}  // namespace

template <class Real>
void adamw(Cuda, const Context&, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges) {
    const auto factors =
        gpu::adamw_factors<Real>(s.lr, s.beta1, s.beta2, s.eps, s.weight_decay, s.step);
    gpu::adamw<Real>(gpu::stream(), w.count(), factors, s.grad_scale.data,
                     static_cast<int>(ranges.size()), on_device(ranges),
                     {w.data, grad.data, m.data, v.data, nullptr});
}

template void adamw(Cuda, const Context&, const AdamWStep&, View<float>, View<const float>,
                    View<float>, View<float>, std::span<const UpdateRange>);
template void adamw(Cuda, const Context&, const AdamWStep&, View<double>, View<const double>,
                    View<double>, View<double>, std::span<const UpdateRange>);

}  // namespace plumb
