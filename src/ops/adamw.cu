#include "ops/adamw.h"

#include "core/device_memory.h"
#include "core/gpu_stream.h"
#include "ops/adamw.cuh"

#include <algorithm>

namespace plumb {
namespace {

bool same(const gpu::AdamwRange& a, const gpu::AdamwRange& b) {
    return a.end == b.end && a.lr_scale == b.lr_scale && a.decay == b.decay &&
           a.trained == b.trained;
}

// The ranges in the device's memory. They are the same in every step of a run: copied once.
const gpu::AdamwRange* on_device(std::span<const UpdateRange> ranges) {
    static std::vector<gpu::AdamwRange> last;
    static DeviceArray<gpu::AdamwRange> memory;
    std::vector<gpu::AdamwRange> now;
    for (const UpdateRange& r : ranges) now.push_back({r.end, r.lr_scale, r.decay, r.trained});
    const Index n = std::ssize(now);
    if (n > memory.size()) memory = DeviceArray<gpu::AdamwRange>(n, Device::cuda);
    if (!std::equal(now.begin(), now.end(), last.begin(), last.end(), same)) {
        last = now;
        put(memory.view(0, {{'P', n}}), now.data());
    }
    return memory.view().data;
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
