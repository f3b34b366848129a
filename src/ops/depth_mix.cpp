#include "ops/depth_mix.h"

#include "core/dispatch.h"
#include "core/parallel.h"

namespace plumb {
namespace {

// Channels whose running sums stay in registers while the sources stream by.
constexpr Index kTile = 64;

template <class Real>
void mix_token(std::span<const Real* const> sources, const Real* w, Index row, Real* out, Index c) {
    Index begin = 0;
    for (; begin + kTile <= c; begin += kTile) {
        Real acc[kTile] = {};
        for (std::size_t s = 0; s < sources.size(); ++s) {
            const Real* v = sources[s] + row + begin;
#pragma omp simd
            for (Index i = 0; i < kTile; ++i) acc[i] += w[s] * v[i];
        }
        for (Index i = 0; i < kTile; ++i) out[begin + i] = acc[i];
    }
    for (; begin < c; ++begin) {
        Real sum = 0;
        for (std::size_t s = 0; s < sources.size(); ++s) sum += w[s] * sources[s][row + begin];
        out[begin] = sum;
    }
}

}  // namespace

template <class Real>
void depth_mix(const Context& ctx, std::span<const Real* const> sources, MixWeights<Real> w,
               View<Real> out) {
    require(!sources.empty(), "depth_mix: no source");
    const Index c = out.extent(1);
    dispatch(ctx, "depth_mix", [&](Cpu) {
        for_tokens(ctx, out.extent(0), [&](Index n) {
            mix_token(sources, w.data + n * w.stride, n * c, out.row(n), c);
        });
    });
}

template void depth_mix(const Context&, std::span<const float* const>, MixWeights<float>,
                        View<float>);
template void depth_mix(const Context&, std::span<const double* const>, MixWeights<double>,
                        View<double>);

}  // namespace plumb
