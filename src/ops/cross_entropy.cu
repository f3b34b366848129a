#include "ops/cross_entropy.h"

#include "core/gpu_stream.h"
#include "ops/cross_entropy.cuh"

namespace plumb {

void n_scored(Cuda, const Context&, View<const std::int32_t> targets, View<double> scored) {
    gpu::n_scored(gpu::stream(), targets.count(), targets.data, scored.data);
}

template <class Real>
void cross_entropy(Cuda, const Context&, View<const Real> logits, View<const std::int32_t> targets,
                   View<Real> losses) {
    gpu::cross_entropy(gpu::stream(), logits.extent(0), logits.extent(1), logits.data, targets.data,
                       losses.data);
}

template <class T>
void cross_entropy_gradient(Cuda, const Context&, View<RealOf<T>> logits,
                            View<const std::int32_t> targets, View<RealOf<T>> losses,
                            RealOf<T> scale, View<const double> scored, View<T> dlogits) {
    gpu::cross_entropy_gradient<T>(gpu::stream(), logits.extent(0), logits.extent(1), logits.data,
                                   targets.data, losses.data, scale, scored.data, dlogits.data);
}

template <class Real>
void mean_loss(Cuda, const Context&, View<const Real> losses, View<const double> scored,
               View<double> mean) {
    gpu::mean_loss(gpu::stream(), losses.count(), losses.data, scored.data, mean.data);
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void cross_entropy_gradient(Cuda, const Context&, View<RealOf<T>>,                \
                                         View<const std::int32_t>, View<RealOf<T>>, RealOf<T>, \
                                         View<const double>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void cross_entropy(Cuda, const Context&, View<const float>, View<const std::int32_t>,
                            View<float>);
template void cross_entropy(Cuda, const Context&, View<const double>, View<const std::int32_t>,
                            View<double>);
template void mean_loss(Cuda, const Context&, View<const float>, View<const double>, View<double>);
template void mean_loss(Cuda, const Context&, View<const double>, View<const double>, View<double>);

}  // namespace plumb
