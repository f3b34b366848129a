// The passes of StreamsOnGpu over rows; kernels are in streams.cuh. Compiled apart from the others,
// for there are many of them.
#include "core/gpu_stream.h"
#include "mixers/memories/streams.cuh"
#include "mixers/memories/streams_on_gpu.h"

namespace plumb {
namespace {

// f(K, V, whole) as constants: a run a thread and as many warps a token as that takes, up to eight;
// two runs for what is wider. Measured: results/gpu. With four, K = 4, dgain would not fit the
// registers.
template <class T, class F>
void with_kernel(int streams, Index c, F&& f) {
    using std::integral_constant;
    const auto runs = [&](auto K) {
        if (c % gpu::kRun != 0) return f(K, integral_constant<int, 1>{}, std::false_type{});
        if constexpr (!std::is_same_v<T, double>)
            if (c > 256 * gpu::kMaxWarps)
                return f(K, integral_constant<int, 2>{}, std::true_type{});
        f(K, integral_constant<int, 1>{}, std::true_type{});
    };
    if (streams == 2) return runs(integral_constant<int, 2>{});
    runs(integral_constant<int, 4>{});
}

}  // namespace

// X_l from X_{l-1} and v_{l-1}.
template <class T>
void StreamsOnGpu<T>::write_rows(const Context& ctx, int l) const {
    const int c = static_cast<int>(channels());
    const Site& below = site(std::max(l - 1, 1));
    Real* moments = site(l).dots.n > 0 ? ctx(moments_).data : nullptr;
    with_kernel<T>(streams_, c, [&](auto K, auto V, auto whole) {
        const int warps = gpu::warps_for(c, V.value);
        gpu::launch(gpu::stream(), "streams_write",
                    gpu::streams_write<T, K.value, V.value, whole.value>,
                    gpu::whole_grid(tokens(), warps), tokens(), c, warps, l == 1, ctx(below.x).data,
                    ctx(v_[static_cast<std::size_t>(l - 1)]).data, ctx(below.scalars).data,
                    ctx(site(l).x).data, moments);
    });
}

template <class T>
void StreamsOnGpu<T>::read_rows(const Context& ctx, int l, const PreNorm<T>& norm) const {
    const int c = static_cast<int>(channels());
    with_kernel<T>(streams_, c, [&](auto K, auto V, auto whole) {
        const int warps = gpu::warps_for(c, V.value);
        gpu::launch(gpu::stream(), "streams_read",
                    gpu::streams_read<T, K.value, V.value, whole.value>,
                    gpu::whole_grid(tokens(), warps), tokens(), c, warps, ctx(site(l).x).data,
                    ctx(site(l).scalars).data, gpu::norm_args(norm));
    });
}

// The gradients of c and A; dX_l and dv_{l-1}, but where there are dots, which want D in dv_'s
// place.
template <class T>
void StreamsOnGpu<T>::rows_backward(const Context& ctx, int l, const PreNorm<T>& norm) const {
    const int c = static_cast<int>(channels());
    const Site& s = site(l);
    const T* v = last(l) ? nullptr : ctx(v_[static_cast<std::size_t>(l)]).data;
    const bool dots = s.dots.n > 0;
    const Real* before = l > 1 && !dots ? ctx(site(l - 1).scalars).data : nullptr;
    T *dout = ctx(dx_).data, *dx = dots ? nullptr : dout;
    const View<Real> dgain = norm.dgain;
    with_kernel<T>(streams_, c, [&](auto K, auto V, auto whole) {
        constexpr int kSlabs = std::is_same_v<T, double> ? 1 : 2;
        const int warps = gpu::warps_for(c, V.value);
        const std::size_t shared =
            gpu::ring_bytes<T, 2 * K.value + 1, kSlabs>(gpu::threads_for(warps));
        const auto start = [&](auto gained) {
            const auto kernel =
                gpu::streams_backward<T, K.value, V.value, kSlabs, whole.value, gained.value>;
            gpu::Grid grid = gpu::resident_grid(kernel, tokens(), warps, shared);
            if (gained) grid.blocks = static_cast<unsigned>(dgain.extent(0));
            gpu::launch(gpu::stream(), "streams_backward", kernel, grid, tokens(), c, warps,
                        last(l), ctx(s.x).data, v, ctx(s.scalars).data, before, dout, dx,
                        ctx(dv_).data, ctx(dscalars_).data, dgain.data, gpu::norm_args(norm));
        };
        if (norm.raw())
            start(std::false_type{});
        else
            start(std::true_type{});
    });
}

#define PLUMB_INSTANTIATE(T)                                                                \
    template void StreamsOnGpu<T>::write_rows(const Context&, int) const;                   \
    template void StreamsOnGpu<T>::read_rows(const Context&, int, const PreNorm<T>&) const; \
    template void StreamsOnGpu<T>::rows_backward(const Context&, int, const PreNorm<T>&) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
