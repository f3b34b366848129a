// The passes of StreamsOnGpu, but for those over rows (stream_rows.cu): scalars by the rule's
// program, dots by products and the kernels of stream_dots.cuh.
#include "mixers/memories/streams_on_gpu.h"

#include "core/gpu_stream.h"
#include "mixers/memories/stream_dots.cuh"
#include "mixers/plain_parameters.cuh"
#include "mixers/scalar_program.cuh"
#include "ops/matmul.cuh"

namespace plumb {
namespace {

gpu::Grid scalar_grid(Index tokens) {
    return {static_cast<unsigned>(gpu::padded_tokens(tokens) / gpu::kLanes), gpu::kLanes};
}
unsigned blocks_of(Index n) { return static_cast<unsigned>(n); }

}  // namespace

template <class T>
void StreamsOnGpu<T>::read(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const {
    open(ctx, l);
    write_and_dot(ctx, l);
    gpu::launch(gpu::stream(), "mixer: scalars", gpu::scalars_forward<Real>, scalar_grid(tokens()),
                tables(l).program, scalar_memory(ctx, l), ctx(site(l).scalars).data);
    read_rows(ctx, l, norm);
}

template <class T>
void StreamsOnGpu<T>::read_backward(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const {
    open(ctx, l);
    rows_backward(ctx, l, norm);
    scalars_backward(ctx, l);
    if (site(l).dots.n == 0) return;
    dots_backward(ctx, l);
    add_vectors(ctx, l);
}

// ---- scalars ------------------------------------------------------------------------------------

// The site's numbers, of the parameters as they are now.
template <class T>
void StreamsOnGpu<T>::open(const Context& ctx, int l) const {
    const Site& s = site(l);
    if (s.n_numbers > 0)
        gpu::launch(gpu::stream(), "mixer: numbers", gpu::gather_numbers<Real>,
                    gpu::grid_of(s.n_numbers), s.n_numbers, tables(l).numbers, s.params.flat(ctx),
                    ctx(numbers_).data);
}

template <class T>
gpu::ScalarMemory<RealOf<T>> StreamsOnGpu<T>::scalar_memory(const Context& ctx, int l) const {
    return {ctx(site(l).u).data, ctx(numbers_).data, ctx(steps_).data, tokens(),
            gpu::padded_tokens(tokens())};
}

template <class T>
void StreamsOnGpu<T>::scalars_backward(const Context& ctx, int l) const {
    const Site& s = site(l);
    const Index warps = gpu::padded_tokens(tokens()) / gpu::kLanes;
    const gpu::ScalarGradients<Real> gradients{
        ctx(dscalars_).data, ctx(du_).data, ctx(dnumbers_).data, ctx(dsteps_).data,
        ctx(kept_).data,     s.dots.n,      s.n_numbers};
    gpu::launch(gpu::stream(), "mixer: scalars, backward", gpu::scalars_backward<Real>,
                scalar_grid(tokens()), tables(l).program, scalar_memory(ctx, l), gradients);
    if (s.n_numbers > 0)
        gpu::launch(gpu::stream(), "mixer: add numbers", gpu::add_numbers<Real>,
                    gpu::grid_of(gpu::kLanes * s.n_numbers), s.n_numbers, warps, tables(l).numbers,
                    ctx(dnumbers_).data, s.params.flat(ctx, true));
}

// ---- dots ---------------------------------------------------------------------------------------

template <class T>
gpu::StreamVectors StreamsOnGpu<T>::vectors(int l) const {
    const StreamDots& dots = site(l).dots;
    gpu::StreamVectors s{};
    s.streams = streams_, s.m = dots.m, s.width = static_cast<int>(row_width(dots));
    s.end_to_end = dots.end_to_end;
    for (std::size_t k = 0; k < kMaxStreams; ++k) {
        s.square[k] = dots.square[k], s.sum[k] = dots.sum[k];
        s.projection[k] = dots.projection[k];
    }
    std::fill(std::begin(s.total), std::end(s.total), -1);
    for (const auto& [u, vector] : dots.totals) s.total[vector] = u;
    for (int i = 0; i < dots.m; ++i)
        s.at[i] = site(l).params.place(RuleParam::Is::vectors, i * row_width(dots));
    return s;
}

// X_l, u of it: in one pass, or by products.
template <class T>
void StreamsOnGpu<T>::write_and_dot(const Context& ctx, int l) const {
    if constexpr (std::is_same_v<T, Bf16>)
        if (by_write(l).tiles > 0) return write_with_dots(ctx, l);
    write_rows(ctx, l);
    if (site(l).dots.n > 0) take_dots(ctx, l);
}

// u of X_l, whose moments are there.
template <class T>
void StreamsOnGpu<T>::take_dots(const Context& ctx, int l) const {
    const Site& s = site(l);
    const gpu::StreamVectors by = vectors(l);
    const Index m = gpu::kParts<T> * by.m, r = rows(s.dots), ld = padded_rows(s.dots);
    T* packed = ctx(packed_).data;
    Real *products = ctx(products_).data, *totals = ctx(totals_).data;
    if (by.m > 0) {
        gpu::launch(gpu::stream(), "mixer: vectors", gpu::pack_vectors<T>,
                    {blocks_of(by.m), gpu::kRunThreads}, by, s.params.flat(ctx), packed, totals);
        gpu::product<T, Real>({Op::none, Op::transpose, m, r, by.width, by.width, by.width, ld},
                              Real(1), packed, ctx(s.x).data, Real(0), products);
    }
    gpu::launch(gpu::stream(), "mixer: dots", gpu::place_dots<T>,
                gpu::grid_of((by.m + 1) * tokens()), by, tokens(), ld, products, totals,
                ctx(moments_).data, ctx(s.u).data);
}

// dX_l and dv_{l-1}, of D and dX_{l+1}.
template <class T>
void StreamsOnGpu<T>::dots_backward(const Context& ctx, int l) const {
    const int c = static_cast<int>(channels());
    const Real* before = l > 1 ? ctx(site(l - 1).scalars).data : nullptr;
    const auto start = [&](auto K) {
        const auto kernel = c % gpu::kRun == 0 ? gpu::dots_backward<T, K.value, true>
                                               : gpu::dots_backward<T, K.value, false>;
        gpu::launch(gpu::stream(), "mixer: dots, backward", kernel,
                    gpu::dots_backward_grid<T, K.value>(tokens(), c), tokens(), c, last(l),
                    vectors(l), site(l).params.flat(ctx), ctx(du_).data, ctx(site(l).scalars).data,
                    before, ctx(site(l).x).data, ctx(dx_).data, ctx(dv_).data);
    };
    if (streams_ == 2)
        start(std::integral_constant<int, 2>{});
    else
        start(std::integral_constant<int, 4>{});
}

template <class T>
void StreamsOnGpu<T>::add_vectors(const Context& ctx, int l) const {
    const Site& s = site(l);
    const gpu::StreamVectors by = vectors(l);
    if (by.m == 0) return;
    const Index m = gpu::kParts<T> * by.m, r = rows(s.dots), ld = padded_rows(s.dots);
    const Real* du = ctx(du_).data;
    T* spread = ctx(spread_).data;
    Real *products = ctx(products_).data, *totals = ctx(totals_).data;
    gpu::launch(gpu::stream(), "mixer: spread du", gpu::spread_gradients<T>, gpu::grid_of(by.m * r),
                by, tokens(), ld, du, spread);
    gpu::product<T, Real>({Op::none, Op::none, m, by.width, r, ld, by.width, by.width}, Real(1),
                          spread, ctx(s.x).data, Real(0), products);
    gpu::launch(gpu::stream(), "mixer: totals, backward", gpu::sum_totals<Real>,
                {blocks_of(by.m), gpu::kRunThreads}, by, tokens(), du, totals);
    gpu::launch(gpu::stream(), "mixer: add vectors", gpu::add_stream_vectors<T>,
                gpu::grid_of(by.m * row_width(s.dots)), by, products, totals,
                s.params.flat(ctx, true));
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void StreamsOnGpu<T>::read(Cuda, const Context&, int, const PreNorm<T>&) const;   \
    template void StreamsOnGpu<T>::read_backward(Cuda, const Context&, int, const PreNorm<T>&) \
        const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
