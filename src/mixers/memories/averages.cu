// The passes of AveragesOnGpu (averages_on_gpu.h).
#include "mixers/memories/averages.cuh"

#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "mixers/memories/averages_on_gpu.h"
#include "mixers/plain_parameters.cuh"
#include "mixers/scalar_program.cuh"
#include "ops/reduce.cuh"

namespace plumb {

// ---- before the walk, after it ------------------------------------------------------------------

template <class T>
void AveragesOnGpu<T>::begin(Cuda, const Context& ctx) const {
    const Real* values = ctx.value(some_).data - some_.offset;
    gpu::launch(gpu::stream(), "mixer: numbers", gpu::gather_numbers<Real>,
                gpu::grid_of(std::ssize(flat_)), std::ssize(flat_), flat_places_, values,
                ctx(p_).data);
    for (std::size_t k = 0; k < averages_.size(); ++k)
        if (averages_[k].mixes())
            gpu::launch(gpu::stream(), "mixer: weights", gpu::scalars_forward<Real>,
                        {1, gpu::kLanes}, tables_[k],
                        gpu::ScalarMemory<Real>{nullptr, ctx(p_).data + places_[k].number,
                                                ctx(steps_).data, 1, gpu::kLanes},
                        ctx(w_).data + places_[k].weight);
}

template <class T>
void AveragesOnGpu<T>::end_backward(Cuda, const Context& ctx) const {
    gpu::launch(gpu::stream(), "mixer: dweights", gpu::gather_numbers<Real>,
                gpu::grid_of(n_weights_), n_weights_, sum_places_, ctx(dw_sums_).data,
                ctx(dw_).data);
    for (std::size_t k = 0; k < averages_.size(); ++k)
        if (averages_[k].mixes())
            gpu::launch(
                gpu::stream(), "mixer: weights, backward", gpu::scalars_backward<Real>,
                {1, gpu::kLanes}, tables_[k],
                gpu::ScalarMemory<Real>{nullptr, ctx(p_).data + places_[k].number, ctx(steps_).data,
                                        1, gpu::kLanes},
                gpu::ScalarGradients<Real>{ctx(dw_).data + places_[k].weight, nullptr,
                                           ctx(dp_).data + places_[k].number, ctx(dsteps_).data,
                                           nullptr, 0, places_[k].n_numbers});
    gpu::launch(gpu::stream(), "mixer: add numbers", gpu::add_numbers<Real>,
                gpu::grid_of(32 * std::ssize(flat_)), std::ssize(flat_), 1, flat_places_,
                ctx(dp_).data, ctx.grad(some_).data - some_.offset);
}

// ---- a site -------------------------------------------------------------------------------------

// What Y_k is made of beside X_k.
template <class T>
gpu::AveragedRows<T> AveragesOnGpu<T>::past(const Site& site) const {
    gpu::AveragedRows<T> rows;
    if (site.k < 0 || !average(site.k).mixes()) return rows;
    for (const int j : average(site.k).sources) {
        rows.row[rows.count] = site.x[static_cast<std::size_t>(j)];
        rows.weight[rows.count++] = weight(site.k, j);
    }
    rows.own = own(site.k);
    return rows;
}
// What X_k takes part in.
template <class T>
gpu::AveragedRows<T> AveragesOnGpu<T>::readers_of(const Site& site) const {
    gpu::AveragedRows<T> rows;
    if (site.k < 0) return rows;
    for (const int k : readers(site.k)) {
        rows.row[rows.count] = site.dy[static_cast<std::size_t>(k)];
        rows.weight[rows.count++] = weight(k, site.k);
    }
    rows.own = own(site.k);
    return rows;
}

template <class T>
void AveragesOnGpu<T>::read(Cuda, const Context& ctx, const Site& site,
                            const PreNorm<T>& norm) const {
    const Index n = site.h.extent(0);
    T* x = site.k > 0 ? site.x[static_cast<std::size_t>(site.k)] : nullptr;
    gpu::with_runs<T>(
        static_cast<int>(site.h.extent(1)), [&](int c, int warps, auto V, auto whole) {
            gpu::launch(gpu::stream(), "average_read", gpu::average_read<T, V.value, whole.value>,
                        gpu::whole_grid(n, warps), n, c, warps, site.first, site.v.data,
                        site.h.data, x, past(site), ctx(w_).data, gpu::norm_args(norm));
        });
}

template <class T>
void AveragesOnGpu<T>::read_backward(Cuda, const Context& ctx, const Site& site,
                                     const PreNorm<T>& norm) const {
    const Index n = site.dh.extent(0), parts = gpu::partial_rows(n);
    require(norm.raw() || norm.dgain.extent(0) == parts, "dgain has a row a block");
    if (site.last && n_weights_ > 0) gpu::clear(gpu::stream(), n_weights_, ctx(dw_sums_).data);
    const gpu::AveragedRows<T> rows = readers_of(site);
    const int n_sums = rows.count + (rows.own >= 0 ? 1 : 0);
    const T* x = n_sums > 0 ? site.x[static_cast<std::size_t>(site.k)] : nullptr;
    T* dy = rows.own >= 0 ? site.dy[static_cast<std::size_t>(site.k)] : nullptr;
    gpu::with_runs<T>(static_cast<int>(site.dh.extent(1)), [&](int c, int warps, auto V,
                                                               auto whole) {
        gpu::launch(gpu::stream(), "average_read_backward",
                    gpu::average_read_backward<T, V.value, whole.value>,
                    {static_cast<unsigned>(parts), gpu::threads_for(warps)}, n, c, warps, site.last,
                    site.dh.data, site.dv.data, x, dy, rows, ctx(w_).data, ctx(parts_).data,
                    norm.raw() ? nullptr : norm.dgain.data, gpu::norm_args(norm));
    });
    if (n_sums > 0)
        gpu::add_partials(gpu::stream(), parts, n_sums, static_cast<const Real*>(ctx(parts_).data),
                          ctx(dw_sums_).data + places(site.k).sum);
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void AveragesOnGpu<T>::begin(Cuda, const Context&) const;                         \
    template void AveragesOnGpu<T>::read(Cuda, const Context&, const Site&, const PreNorm<T>&) \
        const;                                                                                 \
    template void AveragesOnGpu<T>::read_backward(Cuda, const Context&, const Site&,           \
                                                  const PreNorm<T>&) const;                    \
    template void AveragesOnGpu<T>::end_backward(Cuda, const Context&) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
