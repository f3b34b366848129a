// SourcesOnGpu, forward (sources_on_gpu.h); kernels are in sources_read.cuh and sources_sums.cuh.
#include "mixers/memories/sources_read.cuh"

#include "core/gpu_stream.h"
#include "mixers/memories/sources_runs.h"
#include "mixers/memories/sources_sums.cuh"

namespace plumb {
namespace {

// Sources that share a barrier, and rows on their way: those that were fastest for Bf16; as many
// bytes of others.
constexpr int kTogether = 3;
template <class T, int Q>
constexpr int kAhead = Q > 1 && sizeof(T) == 2 ? 6 : 4;

// Kernels of one read and of the largest group's.
template <class T, int Q>
void start(const gpu::SourcesRead<T>& from) {
    with_source_runs<T>(from.C, [&](int warps, auto runs, auto whole) {
        constexpr int P = kAhead<T, Q>;
        const auto kernel = gpu::sources_read<T, Q, runs.value, kTogether, P, whole.value>;
        gpu::SourcesRead<T> a = from;
        a.W = warps;
        gpu::launch(gpu::stream(), "sources_read", kernel,
                    gpu::resident_grid(kernel, a.N, warps,
                                       gpu::sources_read_shared<T, Q, runs.value, P>(
                                           gpu::threads_for(warps), warps)),
                    a);
    });
}

}  // namespace

// u = query gain; l = 1, whose only source is v_0, has none.
template <class T>
void SourcesOnGpu<T>::begin(Cuda, const Context& ctx) const {
    gpu::SiteProducts<Real> p{};
    for (int l = 1; l <= rows(); ++l) {
        p.out.p[l - 1] = ctx(u_).row(l - 1);
        if (l == 1) continue;
        p.a.p[l - 1] = ctx.value(params_[at(l - 1)][0]).data;
        if (gained_) p.b.p[l - 1] = ctx.value(params_[at(l - 1)][1]).data;
    }
    gpu::launch_runs(gpu::stream(), "attnres: u", rows(), channels(), gpu::site_products<Real>,
                     rows(), channels(), p);
}

template <class T>
void SourcesOnGpu<T>::read(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const {
    static_assert(kMostRows == gpu::kMaxSources);
    const DepthSchedule::Read& read = schedule().read(l);
    const auto row = [&](int i) { return ctx(sources_.tensor(i)).data; };
    if (sums(l - 1))
        gpu::launch_runs(
            gpu::stream(), "attnres: running sum", tokens(), channels(),
            channels() % gpu::kRun == 0 ? gpu::sum_rows<T, true> : gpu::sum_rows<T, false>,
            tokens(), channels(), row(l - 2), row(l - 1));
    const auto mix = [&](const std::vector<int>& sources) {
        gpu::SourcesRead<T> a{};
        a.N = tokens(), a.C = static_cast<int>(channels());
        a.S = static_cast<int>(sources.size()), a.Q = 1;
        for (int k = 0; k < a.S; ++k) a.source.p[k] = row(sources[at(k)]);
        a.u = ctx(u_).row(l - 1);
        if (sources.back() == l - 1) a.rstd = ctx(rstd_).row(rstd_row(l - 1));
        a.logits = ctx(logits_).data + pair(sources.front(), l);
        a.k_step = step();
        a.lse = ctx(lse_).row(l - 1);
        a.eps = static_cast<Real>(this->shape().norm_eps);
        a.norm = gpu::norm_args(norm);
        return a;
    };
    const bool merges = sources_.merges(l);
    if (l == read.first) {
        gpu::SourcesRead<T> a = mix(read.old);
        a.Q = static_cast<int>(sources_.queries(l));
        for (int q = 1; q < a.Q; ++q) a.mixes.p[q] = row(l + q);
        if (merges) a.norm = {row(l), nullptr, nullptr, nullptr, nullptr, Real(0)};  // it waits
        a.Q > 1 ? start<T, kMostReads>(a) : start<T, 1>(a);
    }
    if (!merges) return;
    gpu::SourcesRead<T> a = mix(read.fresh);
    a.waiting = row(l);
    start<T, 1>(a);
}

#define PLUMB_INSTANTIATE(T)                                          \
    template void SourcesOnGpu<T>::begin(Cuda, const Context&) const; \
    template void SourcesOnGpu<T>::read(Cuda, const Context&, int, const PreNorm<T>&) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
