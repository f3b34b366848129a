// X_l and its dots in one pass: kernels are in stream_write_dots.cuh.
#include "mixers/memories/stream_write_dots.cuh"

#include "core/gpu_stream.h"
#include "mixers/memories/streams_on_gpu.h"
#include "mixers/plain_parameters.cuh"

#include <algorithm>

namespace plumb {
namespace {

// f(K, tiles, ends) as constants.
template <class F>
void with_write_dots(int streams, int tiles, bool ends, F&& f) {
    using std::integral_constant;
    const auto of_streams = [&](auto n, auto end_to_end) {
        if (streams == 2) return f(integral_constant<int, 2>{}, n, end_to_end);
        f(integral_constant<int, 4>{}, n, end_to_end);
    };
    if (!ends) return of_streams(integral_constant<int, 1>{}, std::false_type{});
    if (tiles == 1) return of_streams(integral_constant<int, 1>{}, std::true_type{});
    if (tiles == 3)
        return f(integral_constant<int, 4>{}, integral_constant<int, 3>{}, std::true_type{});
    f(integral_constant<int, 4>{}, integral_constant<int, 4>{}, std::true_type{});
}

}  // namespace

// X_l from X_{l-1} and v_{l-1}, and u of it.
template <class T>
void StreamsOnGpu<T>::write_with_dots(const Context& ctx, int l) const {
    const int c = static_cast<int>(channels()), tiles = by_write(l).tiles;
    const Site &s = site(l), &below = site(std::max(l - 1, 1));
    const gpu::StreamVectors by = vectors(l);
    T* packed = ctx(packed_).data;
    Real *sums = ctx(products_).data, *totals = ctx(totals_).data;
    gpu::launch(gpu::stream(), "mixer: vectors", gpu::pack_fragments<T>,
                {static_cast<unsigned>(8 * tiles), gpu::kRunThreads}, by, c, tiles,
                s.params.flat(ctx), packed, totals);
    with_write_dots(streams_, tiles, by.end_to_end, [&](auto K, auto n, auto ends) {
        gpu::launch(gpu::stream(), "streams_write_dots",
                    gpu::streams_write_dots<K.value, n.value, ends.value>,
                    gpu::write_dots_grid(tokens(), by_write(l).slabs), tokens(), c, by.m, l == 1,
                    ctx(below.x).data, ctx(v_[static_cast<std::size_t>(l - 1)]).data,
                    ctx(below.scalars).data, packed, ctx(s.x).data, sums);
    });
    gpu::launch(gpu::stream(), "mixer: dots", gpu::sum_slabs<Real>,
                gpu::grid_of(WriteDots::numbers(streams_, by.m, by.end_to_end) * tokens()), by,
                tokens(), static_cast<int>(by_write(l).slabs), sums, totals, ctx(s.u).data);
}

template void StreamsOnGpu<Bf16>::write_with_dots(const Context&, int) const;

}  // namespace plumb
