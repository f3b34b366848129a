// The passes of the plain memory (plain.h) on a GPU, after the CPU's in plain.cpp; kernels are in
// plain.cuh (rows), scalar_program.cuh and plain_parameters.cuh.
#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "mixers/plain.h"
#include "mixers/plain_parameters.cuh"
#include "mixers/scalar_program.cuh"
#include "ops/matmul.h"
#include "ops/reduce.cuh"

namespace plumb {
namespace {

template <class T>
gpu::PlainNorm<T> norm_of(const PreNorm<T>& norm) {
    return {norm.xhat.data, norm.rstd.data,  norm.gain.data, norm.x.data,
            norm.dx.data,   norm.dgain.data, norm.eps};
}

unsigned blocks_of(Index n) { return static_cast<unsigned>(n); }

gpu::Grid scalar_grid(Index tokens) {
    return {blocks_of(gpu::padded_tokens(tokens) / gpu::kLanes), gpu::kLanes};
}

}  // namespace

// Of the frame of ctx.
template <class T>
gpu::PlainRows<T> Plain<T>::rows_on_gpu(const Context& ctx) const {
    static_assert(sizeof(Row) == sizeof(PlainRow<T>));
    const int groups = rule_->groups();
    return {ctx(pass_).device_rows->view().data, tokens(), channels(), groups, channels() / groups};
}

// ---- parameters ---------------------------------------------------------------------------------

// The site's numbers and vectors, of the parameters as they are now.
template <class T>
void Plain<T>::open_on_gpu(const Context& ctx, int l) const {
    const PlainSiteTables& s = tables(l);
    const Real* values = site(l).params.flat(ctx);
    if (s.n_numbers > 0)
        gpu::launch(gpu::stream(), "mixer: numbers", gpu::gather_numbers<Real>,
                    gpu::grid_of(s.n_numbers), s.n_numbers, s.numbers, values,
                    ctx(gpu_.numbers).data);
    if (s.n_vectors > 0)
        gpu::launch(gpu::stream(), "mixer: vectors", gpu::gather_vectors<Real>,
                    gpu::grid_of(s.n_vectors * channels()), s.n_vectors, channels(), s.vectors,
                    values, ctx(vectors_).data);
}

template <class T>
void Plain<T>::add_parameters_on_gpu(const Context& ctx, int l) const {
    const PlainSiteTables& s = tables(l);
    const Index c = channels(), warps = gpu::padded_tokens(tokens()) / gpu::kLanes;
    const Real* values = site(l).params.flat(ctx);
    Real* gradients = site(l).params.flat(ctx, true);
    if (s.n_numbers > 0)
        gpu::launch(gpu::stream(), "mixer: add numbers", gpu::add_numbers<Real>,
                    gpu::grid_of(32L * s.n_numbers), s.n_numbers, warps, s.numbers,
                    ctx(gpu_.dnumbers).data, gradients);
    if (s.n_vectors == 0) return;
    const View<Real> parts = ctx(dvectors_), sums = ctx(gpu_.vector_sums);
    gpu::clear(gpu::stream(), sums.count(), sums.data);
    gpu::add_partials(gpu::stream(), parts.extent(0), parts.extent(1),
                      static_cast<const Real*>(parts.data), sums.data);
    gpu::launch(gpu::stream(), "mixer: add vectors", gpu::add_vectors<Real>, gpu::grid_of(c),
                s.n_vectors, c, s.vectors, values, sums.data, gradients);
}

// ---- images -------------------------------------------------------------------------------------

// RMSNorm of the image's row, and W' = diag(gain) W.
template <class T>
void Plain<T>::make_normed_on_gpu(const Context& ctx, int l) const {
    const Index c = channels();
    gpu::launch(gpu::stream(), "mixer: image's row", gpu::image_normed<T>,
                {blocks_of(tokens()), gpu::row_threads(c)}, rows_on_gpu(ctx), site(l).image.cell,
                static_cast<Real>(this->shape().norm_eps), ctx(normed_).data);
    gpu::launch(gpu::stream(), "mixer: image's matrix", gpu::scale_matrix<Real>,
                gpu::grid_of(c * c), c, image_gain(ctx, l), matrix_of(ctx, l), ctx(matrix_).data);
}

template <class T>
void Plain<T>::make_image_on_gpu(const Context& ctx, int l) const {
    const Index c = channels();
    if (site(l).image.cell < 0) return;
    make_normed_on_gpu(ctx, l);
    gemm<Real>(ctx, Op::none, Op::transpose, tokens(), c, c, 1, ctx(normed_).data, c,
               ctx(matrix_).data, c, 0, ctx(site(l).image_values).data, c);
}

// From dimage_: y = W' x, x = row / rms(row).
template <class T>
void Plain<T>::image_backward_on_gpu(const Context& ctx, int l) const {
    const Index c = channels();
    const Image& image = site(l).image;
    if (image.cell < 0) return;
    make_normed_on_gpu(ctx, l);
    const Real *normed = ctx(normed_).data, *dy = ctx(dimage_).data;
    Real *matrix = ctx(matrix_).data,
         *dx = ctx(site(l).image_values).data;  // the values are of no further use
    gemm<Real>(ctx, Op::none, Op::none, tokens(), c, c, 1, dy, c, matrix, c, 0, dx, c);
    gemm<Real>(ctx, Op::transpose, Op::none, c, c, tokens(), 1, dy, c, normed, c, 0, matrix,
               c);  // dW'
    gpu::launch(gpu::stream(), "mixer: image's matrix, backward", gpu::scale_matrix_backward<Real>,
                {blocks_of(c), gpu::row_threads(c)}, c, image_gain(ctx, l), matrix_of(ctx, l),
                matrix, matrix_of(ctx, l, true), image_gain(ctx, l, true));
    gpu::launch(gpu::stream(), "mixer: image's row, backward", gpu::image_normed_backward<T>,
                {blocks_of(tokens()), gpu::row_threads(c)}, rows_on_gpu(ctx), image.cell,
                static_cast<Real>(this->shape().norm_eps), normed, dx);
}

// ---- scalars ------------------------------------------------------------------------------------

// Of the site that is open.
template <class T>
gpu::ScalarMemory<RealOf<T>> Plain<T>::scalars_on_gpu(const Context& ctx, int l) const {
    return {ctx(site(l).dots.numbers).data, ctx(gpu_.numbers).data, ctx(gpu_.steps).data, tokens(),
            gpu::padded_tokens(tokens())};
}

// Dots and weights of a half.
template <class T>
void Plain<T>::weigh(const Context& ctx, int l, const Half& half,
                     const PlainHalfTables& tables) const {
    if (tables.n_dots > 0) {
        const int warps = std::min(tables.n_dots, gpu::kMostRowThreads / 32);
        gpu::launch(gpu::stream(), "mixer: dots", gpu::plain_dots<T>,
                    {blocks_of(tokens()), static_cast<unsigned>(32 * warps)}, rows_on_gpu(ctx),
                    tables, ctx(site(l).dots.numbers).data);
    }
    if (tables.program.n_outputs > 0)
        gpu::launch(gpu::stream(), "mixer: scalars", gpu::scalars_forward<Real>,
                    scalar_grid(tokens()), tables.program, scalars_on_gpu(ctx, l),
                    ctx(half.weights.numbers).data);
}

// From the gradients of a half's weights to those of what they are made of. `first` of the two of
// a site.
template <class T>
void Plain<T>::weigh_backward(const Context& ctx, int l, const PlainHalfTables& tables,
                              bool first) const {
    Real* du = ctx(gpu_.du).data;
    const View<Real> parts = ctx(dvectors_);
    const gpu::ScalarGradients<Real> gradients{ctx(gpu_.dweights).data,
                                               du,
                                               ctx(gpu_.dnumbers).data,
                                               ctx(gpu_.dsteps).data,
                                               ctx(gpu_.saved).data,
                                               first ? static_cast<int>(site(l).write.end) : 0,
                                               first ? this->tables(l).n_numbers : 0};
    gpu::launch(gpu::stream(), "mixer: scalars, backward", gpu::scalars_backward<Real>,
                scalar_grid(tokens()), tables.program, scalars_on_gpu(ctx, l), gradients);
    if (first) gpu::clear(gpu::stream(), parts.count(), parts.data);
    if (tables.n_products == 0) return;
    const unsigned threads = gpu::row_threads(channels()),
                   slices = (static_cast<unsigned>(channels()) + threads - 1) / threads;
    gpu::launch(gpu::stream(), "mixer: dots, backward", gpu::plain_dots_backward<T>,
                {static_cast<unsigned>(parts.extent(0)) * slices, threads}, rows_on_gpu(ctx),
                tables, parts.extent(0), du);
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void Plain<T>::read(Cuda, const Context& ctx, int l, PreNorms norms) const {
    const View<Real> h = ctx(row_);
    const Half& half = site(l).read;
    open_on_gpu(ctx, l);
    make_image_on_gpu(ctx, l);
    weigh(ctx, l, half, tables(l).read);
    for (std::size_t way = 0; way < norms.size(); ++way)
        gpu::launch(gpu::stream(), "mixer: read", gpu::plain_read<T>,
                    {blocks_of(h.extent(0)), gpu::row_threads(channels())}, rows_on_gpu(ctx),
                    tables(l).read, static_cast<int>(way) * rule_->groups(),
                    ctx(half.weights.numbers).data, norm_of(norms[way]), h.data);
}

template <class T>
void Plain<T>::write(Cuda, const Context& ctx, int l) const {
    const Half& half = site(l).write;
    open_on_gpu(ctx, l);
    weigh(ctx, l, half, tables(l).write);
    gpu::launch(gpu::stream(), "mixer: write", gpu::plain_write<T>,
                {blocks_of(tokens()), gpu::row_threads(channels())}, rows_on_gpu(ctx),
                tables(l).write, ctx(half.weights.numbers).data);
}

template <class T>
void Plain<T>::stream(Cuda, const Context& ctx, int l, View<Real> out) const {
    const std::vector<Cell>& rows = plan_.site(l + 1).rows;
    const int all = rule_->rows(l + 1), newest = rule_->stream_rows();
    for (int r = 0; r < newest; ++r)
        gpu::launch(gpu::stream(), "mixer: stream", gpu::copy_plain_row<T>,
                    gpu::grid_of(tokens() * channels()), rows_on_gpu(ctx),
                    rows[static_cast<std::size_t>(all - newest + r)], r * channels(),
                    newest * channels(), out.data);
}

// ---- backward -----------------------------------------------------------------------------------

template <class T>
void Plain<T>::read_backward(Cuda, const Context& ctx, int l, PreNorms norms) const {
    const bool last = l > sublayers(), wrote = !last && !plan_.site(l).writes.empty();
    const auto clear = [&](View<Real> d) { gpu::clear(gpu::stream(), d.count(), d.data); };
    for (const Tensor<Real>& d : gradients_)
        if (last) clear(ctx(d));
    if (site(l).image.cell >= 0) clear(ctx(dimage_));
    open_on_gpu(ctx, l);
    const View<Real> d = ctx(row_);
    const Half& half = site(l).read;
    for (std::size_t way = 0; way < norms.size(); ++way) {
        const View<Real> dgain = norms[way].dgain;
        const Index blocks = dgain ? std::min(d.extent(0), dgain.extent(0)) : d.extent(0);
        gpu::launch(gpu::stream(), "mixer: read, backward", gpu::plain_read_backward<T>,
                    {blocks_of(blocks), gpu::row_threads(channels())}, rows_on_gpu(ctx),
                    tables(l).read, static_cast<int>(way) * rule_->groups(),
                    ctx(half.weights.numbers).data, norm_of(norms[way]), d.data,
                    ctx(gpu_.dweights).data);
    }
    weigh_backward(ctx, l, tables(l).read, !wrote);
    image_backward_on_gpu(ctx, l);
    add_parameters_on_gpu(ctx, l);
}

template <class T>
void Plain<T>::write_backward(Cuda, const Context& ctx, int l) const {
    open_on_gpu(ctx, l);
    gpu::launch(gpu::stream(), "mixer: write, backward", gpu::plain_write_backward<T>,
                {blocks_of(tokens()), gpu::row_threads(channels())}, rows_on_gpu(ctx),
                tables(l).write, ctx(site(l).write.weights.numbers).data, ctx(gpu_.dweights).data);
    weigh_backward(ctx, l, tables(l).write, true);
}

template <class T>
void Plain<T>::round(Cuda, const Context&, View<const Real> x, View<T> y) const {
    gpu::launch(gpu::stream(), "mixer: round", gpu::round_numbers<Real, T>, gpu::grid_of(x.count()),
                x.count(), x.data, y.data);
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void Plain<T>::read(Cuda, const Context&, int, PreNorms) const;                   \
    template void Plain<T>::write(Cuda, const Context&, int) const;                            \
    template void Plain<T>::read_backward(Cuda, const Context&, int, PreNorms) const;          \
    template void Plain<T>::write_backward(Cuda, const Context&, int) const;                   \
    template void Plain<T>::round(Cuda, const Context&, View<const RealOf<T>>, View<T>) const; \
    template void Plain<T>::stream(Cuda, const Context&, int, View<RealOf<T>>) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
