#include "mixers/memories/running_row.cuh"

#include "core/gpu_stream.h"
#include "mixers/memories/unit_row.h"

namespace plumb {

template <class T>
void unit_read(Cuda, const Context&, bool first, View<const T> v, View<RealOf<T>> h,
               const PreNorm<T>& norm) {
    const Index n = h.extent(0);
    gpu::with_runs<T>(static_cast<int>(h.extent(1)), [&](int c, int warps, auto runs, auto whole) {
        gpu::launch(gpu::stream(), "running_read", gpu::running_read<T, runs.value, whole.value>,
                    gpu::whole_grid(n, warps), n, c, warps, first, v.data, h.data,
                    gpu::norm_args(norm));
    });
}

template <class T>
void unit_read_backward(Cuda, const Context&, bool last, View<RealOf<T>> dh, View<T> dv,
                        const PreNorm<T>& norm) {
    const Index n = dh.extent(0);
    const View<RealOf<T>> dgain = norm.dgain;
    gpu::with_runs<T>(static_cast<int>(dh.extent(1)), [&](int c, int warps, auto runs, auto whole) {
        const auto start = [&](auto gained) {
            gpu::launch(
                gpu::stream(), "running_read_backward",
                gpu::running_read_backward<T, runs.value, whole.value, gained.value>,
                {gained ? static_cast<unsigned>(dgain.extent(0)) : gpu::whole_grid(n, warps).blocks,
                 gpu::threads_for(warps)},
                n, c, warps, last, dh.data, dv.data, dgain.data, gpu::norm_args(norm));
        };
        if (norm.raw())
            start(std::false_type{});
        else
            start(std::true_type{});
    });
}

#define PLUMB_INSTANTIATE(T)                                                               \
    template void unit_read(Cuda, const Context&, bool, View<const T>, View<RealOf<T>>,    \
                            const PreNorm<T>&);                                            \
    template void unit_read_backward(Cuda, const Context&, bool, View<RealOf<T>>, View<T>, \
                                     const PreNorm<T>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
