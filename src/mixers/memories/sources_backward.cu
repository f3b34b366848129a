// SourcesOnGpu, backward (sources_on_gpu.h); kernels are in sources_backward.cuh and
// sources_sums.cuh.
#include "mixers/memories/sources_backward.cuh"

#include "core/gpu_stream.h"
#include "mixers/memories/sources_runs.h"
#include "mixers/memories/sources_sums.cuh"
#include "ops/reduce.h"

namespace plumb {
namespace {

// Readers that share a barrier, and rows on their way.
constexpr int kTogether = 2;
template <class T>
constexpr int kAhead = sizeof(T) == 2 ? 6 : 4;

// As many blocks as there are rows of partial sums.
template <class T, int V>
gpu::Grid grid_of(Index parts, int warps) {
    const unsigned threads = gpu::threads_for(warps);
    return {static_cast<unsigned>(parts), threads, gpu::ring_bytes<T, V, kAhead<T>>(threads)};
}

template <class T>
void start_spread(int S, const gpu::SourcesPull<T>& from, Index parts) {
    with_source_runs<T>(from.C, [&](int warps, auto runs, auto whole) {
        constexpr int V = runs.value;
        gpu::SourcesPull<T> a = from;
        a.W = warps;
        gpu::launch(gpu::stream(), "sources_spread",
                    gpu::sources_spread<T, V, 1, kAhead<T>, whole.value, true>,
                    grid_of<T, V>(parts, warps), S, a);
    });
}

// Kernels of one source and of the largest group.
template <class T>
void start_pull(const gpu::SourcesPull<T>& from, Index parts) {
    with_source_runs<T>(from.C, [&](int warps, auto runs, auto whole) {
        constexpr int V = runs.value;
        const auto start = [&](auto most) {
            gpu::SourcesPull<T> a = from;
            a.W = warps;
            gpu::launch(
                gpu::stream(), "sources_pull",
                gpu::sources_pull<T, most.value, V, kTogether, kAhead<T>, whole.value, true>,
                grid_of<T, V>(parts, warps), a);
        };
        if (from.K == 1) return start(std::integral_constant<int, 1>{});
        start(std::integral_constant<int, SourcesOnGpu<T>::most_pulls(V)>{});
    });
}

// Of the pull a: t is there.
template <class T>
void start_du(const gpu::SourcesPull<T>& a, Index slices, RealOf<T>* part) {
    const gpu::SourcesDu<T> du{a.N, a.C, slices, a.R, a.K, a.source, a.t, a.k_step, part};
    const Index warps = (a.C + 32 * gpu::kRun - 1) / (32 * gpu::kRun), most = gpu::kRunThreads / 32,
                tiles = (warps + most - 1) / most,
                readers = (a.R + gpu::kDuReaders - 1) / gpu::kDuReaders;
    gpu::launch(gpu::stream(), "sources_du",
                a.C % gpu::kRun == 0 ? gpu::sources_du<T, true> : gpu::sources_du<T, false>,
                {static_cast<unsigned>(slices * readers * tiles),
                 static_cast<unsigned>(32 * std::min(warps, most))},
                du);
}

}  // namespace

template <class T>
void SourcesOnGpu<T>::read_backward(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const {
    if (l == rows()) clear<Real>(ctx, ctx(du_));
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const int K = static_cast<int>(pull.sources.size()), R = static_cast<int>(pull.readers.size());
    const Index parts = norm.raw() ? gpu::partial_rows(tokens()) : norm.dgain.extent(0);
    require(parts <= gpu::partial_rows(tokens()), "a row for each block that sums");
    const View<Real> part = ctx(du_part_), du = ctx(du_);

    gpu::SourcesPull<T> a{};
    a.N = tokens(), a.C = static_cast<int>(channels()), a.R = R, a.K = K;
    for (int q = 1; q < R; ++q) a.d.p[q] = this->left_norms(ctx)[l - 1 + q].xhat;
    for (int k = 0; k < K; ++k) {  // oldest first
        const int i = pull.sources[at(K - 1 - k)];
        a.source.p[k] = ctx(sources_.tensor(i)).data;
        a.gradient.p[k] = ctx(sources_.tensor(sources_.place(i))).data;
    }
    a.adds = pull.adds;
    a.u = ctx(u_).row(l - 1);
    a.rstd = ctx(rstd_).row(rstd_row(pull.sources.back()));
    a.logits = ctx(logits_).data + pair(pull.sources.back(), l);
    a.k_step = step();
    a.lse = ctx(lse_).row(l - 1);
    a.delta = ctx(delta_).row(l - 1);
    a.t = ctx(t_).data;
    a.kept_d = norm.xhat.data;
    a.carry = ctx(carry_).data;
    a.carried = !completes(l - 1);
    a.dgain_part = norm.dgain.data;
    a.du_part = part.data;
    a.norm = gpu::norm_args(norm);

    const Index sums = spreads(l) ? parts : du_slices(tokens());
    if (spreads(l)) {
        start_spread(K, a, parts);
    } else {
        start_pull(a, parts);
        start_du(a, sums, part.data);
    }
    const Index n = R * channels();
    add_partials<Real>(ctx, {part.data, {{'P', sums}, {'U', n}}, part.device},
                       {du.row(l - 1), {{'U', n}}, du.device});
}

// dquery += gain du, dgain += query du.
template <class T>
void SourcesOnGpu<T>::queries_backward(Cuda, const Context& ctx) const {
    const auto add = [&](std::size_t to, bool times_other) {
        gpu::SiteProducts<Real> p{};
        p.adds = true;
        for (int l = 2; l <= rows(); ++l) {
            const std::vector<Param<Real>>& params = params_[at(l - 1)];
            p.out.p[l - 2] = ctx.grad(params[to]).data;
            p.a.p[l - 2] = ctx(du_).row(l - 1);
            if (times_other) p.b.p[l - 2] = ctx.value(params[1 - to]).data;
        }
        gpu::launch_runs(gpu::stream(), "attnres: dquery", rows() - 1, channels(),
                         gpu::site_products<Real>, rows() - 1, channels(), p);
    };
    add(0, gained_);
    if (gained_) add(1, true);
}

#define PLUMB_INSTANTIATE(T)                                                                   \
    template void SourcesOnGpu<T>::read_backward(Cuda, const Context&, int, const PreNorm<T>&) \
        const;                                                                                 \
    template void SourcesOnGpu<T>::queries_backward(Cuda, const Context&) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
