// The passes of RowOnGpu (row_on_gpu.h).
#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "mixers/memories/running_row_token.cuh"
#include "mixers/plain_parameters.cuh"
#include "ops/reduce.cuh"

namespace plumb {

// ---- before the walk, after it ------------------------------------------------------------------

// Numbers of all sites; a of those whose weights are theirs.
template <class T>
void RowOnGpu<T>::begin(Cuda, const Context& ctx) const {
    const Index n = sublayers() * n_numbers_, padded = gpu::padded_tokens(groups_);
    if (n > 0)
        gpu::launch(gpu::stream(), "mixer: numbers", gpu::gather_numbers<Real>, gpu::grid_of(n), n,
                    places_, sites_.front().flat(ctx), ctx(p_).data);
    for (int l = 1; !of_token() && l <= sublayers(); ++l)
        gpu::launch(gpu::stream(), "mixer: weights", gpu::scalars_forward<Real>,
                    {static_cast<unsigned>(padded / gpu::kLanes), gpu::kLanes}, tables(l),
                    gpu::ScalarMemory<Real>{numbers(ctx, l, p_), nullptr, ctx(steps_).data, groups_,
                                            padded},
                    weights(ctx, l, a_));
}

template <class T>
void RowOnGpu<T>::end_backward(Cuda, const Context& ctx) const {
    const Index n = sublayers() * n_numbers_, padded = gpu::padded_tokens(groups_);
    if (!of_token())
        gpu::launch(gpu::stream(), "mixer: dA", gpu::take_write_back<Real>,
                    gpu::grid_of(sublayers() * groups_), sublayers(), groups_, ctx(a_).data,
                    ctx(da_).data);
    for (int l = 1; !of_token() && l <= sublayers(); ++l)
        gpu::launch(gpu::stream(), "mixer: weights, backward", gpu::scalars_backward<Real>,
                    {static_cast<unsigned>(padded / gpu::kLanes), gpu::kLanes}, tables(l),
                    gpu::ScalarMemory<Real>{numbers(ctx, l, p_), nullptr, ctx(steps_).data, groups_,
                                            padded},
                    gpu::ScalarGradients<Real>{weights(ctx, l, da_), numbers(ctx, l, dp_), nullptr,
                                               ctx(dsteps_).data, nullptr,
                                               static_cast<int>(n_numbers_ / groups_), 0});
    gpu::launch(gpu::stream(), "mixer: add numbers", gpu::add_numbers<Real>, gpu::grid_of(32 * n),
                n, 1, places_, ctx(dp_).data, sites_.front().flat(ctx, true));
}

// ---- a site -------------------------------------------------------------------------------------

template <class T>
gpu::TokenSite<RealOf<T>> RowOnGpu<T>::token_site(const Context& ctx, int l) const {
    const int below = std::max(l - 1, 1), own = std::min(l, sublayers());
    const Index stride = tokens_ * (dots_.n_dots + 2);
    const bool asks = l <= sublayers() && dots_.n_u > 0;
    Real* scalars = ctx(scalars_).data;
    return {.dots = dots_,
            .below = tables(below),
            .own = tables(own),
            .p_below = numbers(ctx, below, p_),
            .p_own = numbers(ctx, own, p_),
            .below_scalars = scalars + (below - 1) * stride,
            .scalars = scalars + (own - 1) * stride,
            .q = asks && dots_.hq >= 0 ? query(ctx, l) : nullptr,
            .asks = asks};
}

template <class T>
void RowOnGpu<T>::read(Cuda, const Context& ctx, int l, View<const T> v, View<Real> h,
                       const PreNorm<T>& norm) const {
    const Index n = h.extent(0);
    gpu::with_runs<T>(static_cast<int>(h.extent(1)), [&](int c, int warps, auto V, auto whole) {
        const auto start = [&](const char* name, auto kernel, auto... of_site) {
            gpu::launch(gpu::stream(), name, kernel, gpu::whole_grid(n, warps), n, c, warps, l == 1,
                        v.data, h.data, of_site..., gpu::norm_args(norm));
        };
        const Real* a = unit_ || of_token() ? nullptr : weights(ctx, std::max(l - 1, 1), a_);
        if (unit_)
            start("running_read", gpu::running_read<T, V.value, whole.value>);
        else if (of_token())
            start("token_read", gpu::token_read<T, V.value, whole.value>, token_site(ctx, l));
        else if (groups_ > 1)
            start("weighted_read", gpu::weighted_read<T, V.value, whole.value, true>, a);
        else
            start("weighted_read", gpu::weighted_read<T, V.value, whole.value, false>, a);
    });
}

template <class T>
void RowOnGpu<T>::read_backward(Cuda, const Context& ctx, int l, View<const T> v, View<Real> dh,
                                View<T> dv, const PreNorm<T>& norm) const {
    const Index n = dh.extent(0);
    const bool last = l > sublayers();
    const unsigned parts = static_cast<unsigned>(gpu::partial_rows(n));
    Real* dgain = norm.raw() ? nullptr : norm.dgain.data;
    require(norm.raw() || norm.dgain.extent(0) == parts, "dgain has a row a block");
    gpu::with_runs<T>(static_cast<int>(dh.extent(1)), [&](int c, int warps, auto V, auto whole) {
        const auto start = [&](const char* name, unsigned blocks, auto kernel, auto... of_site) {
            gpu::launch(gpu::stream(), name, kernel, {blocks, gpu::threads_for(warps)}, n, c, warps,
                        of_site..., gpu::norm_args(norm));
        };
        const auto unit = [&](auto gained) {
            start("running_read_backward", gained ? parts : gpu::whole_grid(n, warps).blocks,
                  gpu::running_read_backward<T, V.value, whole.value, gained.value>, last, dh.data,
                  dv.data, dgain);
        };
        const gpu::RowEnds ends{l == 1, last};
        const auto weighted = [&](auto grouped) {
            start("weighted_read_backward", parts,
                  gpu::weighted_read_backward<T, V.value, whole.value, grouped.value>, ends, v.data,
                  dh.data, dv.data, weights(ctx, std::max(l - 1, 1), a_), ctx(number_parts_).data,
                  dgain);
        };
        const auto token = [&](auto asks) {
            start("token_read_backward", parts,
                  gpu::token_read_backward<T, V.value, whole.value, asks.value>, ends, v.data,
                  dh.data, dv.data, token_site(ctx, l),
                  gpu::TokenSums<Real>{ctx(du_).data, ctx(dq_parts_).data, ctx(number_parts_).data,
                                       dgain, static_cast<int>(n_numbers_)});
        };
        const auto either = [](bool yes, auto&& f) {
            yes ? f(std::true_type{}) : f(std::false_type{});
        };
        if (unit_)
            either(!norm.raw(), unit);
        else if (of_token())
            either(!last && dots_.n_u > 0, token);
        else
            either(groups_ > 1, weighted);
    });
    if (learns()) add_sums(ctx, l);
}

// Those of the blocks: dq to the gradient, of numbers to where the walk's end finds them.
template <class T>
void RowOnGpu<T>::add_sums(const Context& ctx, int l) const {
    const Index parts = gpu::partial_rows(tokens_), c = channels_;
    const auto add = [&](Index width, const Real* part, Real* to) {
        gpu::add_partials(gpu::stream(), parts, width, part, to);
    };
    const View<Real> sums = ctx(of_token() ? dp_ : da_);
    if (l > sublayers() && n_numbers_ > 0) gpu::clear(gpu::stream(), sums.count(), sums.data);
    if (of_token() && l <= sublayers() && dots_.hq >= 0)
        add(c, ctx(dq_parts_).data, query(ctx, l, true));
    if (l == 1 || n_numbers_ == 0) return;
    const Real* part = ctx(number_parts_).data;
    if (of_token()) return add(n_numbers_, part, numbers(ctx, l - 1, dp_));
    Real* da = weights(ctx, l - 1, da_);
    if (groups_ == 1) return add(2, part, da);
    add(c, part, da);
    add(c, part + parts * c, da + c);
}

#define PLUMB_INSTANTIATE(T)                                                                     \
    template void RowOnGpu<T>::begin(Cuda, const Context&) const;                                \
    template void RowOnGpu<T>::read(Cuda, const Context&, int, View<const T>, View<RealOf<T>>,   \
                                    const PreNorm<T>&) const;                                    \
    template void RowOnGpu<T>::read_backward(Cuda, const Context&, int, View<const T>,           \
                                             View<RealOf<T>>, View<T>, const PreNorm<T>&) const; \
    template void RowOnGpu<T>::end_backward(Cuda, const Context&) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
