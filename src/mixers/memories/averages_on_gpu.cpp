// What AveragesOnGpu knows of a rule, its tensors, its calls. The passes are in averages.cu.
#include "mixers/memories/averages_on_gpu.h"

#include "core/gpu.h"
#include "mixers/memories/on_gpu.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr std::size_t kMostAverages = 64;  // kMostAveraged of averages.cuh

}  // namespace

template <class T>
bool AveragesOnGpu<T>::carries(const std::vector<Average>& averages) {
    return averages.size() <= kMostAverages &&
           std::all_of(averages.begin(), averages.end(), [](const Average& a) {
               return a.program.n_saved() == 0 &&
                      (!a.mixes() || a.program.n_outputs() == std::ssize(a.sources) + 1);
           });
}

template <class T>
void AveragesOnGpu<T>::declare(Plan& plan, const MixerShape& shape, std::vector<Average> averages,
                               const std::vector<std::vector<Param<Real>>>& numbers) {
    tokens_ = shape.tokens, averages_ = std::move(averages);
    readers_.resize(averages_.size()), places_.resize(averages_.size());
    Index steps = 1, most = 1;
    int n_sums = 0;
    for (std::size_t k = 0; k < averages_.size(); ++k) {
        const Average& a = averages_[k];
        if (!a.mixes()) continue;
        places_[k].number = static_cast<int>(flat_.size()), places_[k].weight = n_weights_;
        for (const Param<Real>& param : numbers[static_cast<std::size_t>(a.site - 1)]) {
            some_ = param;
            for (Index i = 0; i < param.shape.count(); ++i) flat_.push_back(param.offset + i);
        }
        places_[k].n_numbers = static_cast<int>(flat_.size()) - places_[k].number;
        n_weights_ += a.program.n_outputs();
        for (const int j : a.sources)
            readers_[static_cast<std::size_t>(j)].push_back(static_cast<int>(k));
        steps = std::max<Index>(steps, a.program.n_steps());
    }
    sums_.resize(static_cast<std::size_t>(n_weights_));
    for (std::size_t j = 0; j < averages_.size(); ++j) {
        places_[j].sum = n_sums;
        for (const int k : readers_[j])
            sums_[static_cast<std::size_t>(weight(k, static_cast<int>(j)))] = n_sums++;
        if (averages_[j].mixes())
            sums_[static_cast<std::size_t>(own(static_cast<int>(j)))] = n_sums++;
        most = std::max<Index>(most, n_sums - places_[j].sum);
    }
    if (n_weights_ == 0) return;
    const auto flat = [&](const char* name, Index n) {
        return plan.scratch<Real>(fmt::format("mixer.{}", name), {{'P', n}});
    };
    p_ = plan.saved<Real>("mixer.p", {{'P', std::ssize(flat_)}});
    w_ = plan.saved<Real>("mixer.weights", {{'P', n_weights_}});
    dp_ = flat("dp", std::ssize(flat_));
    dw_ = flat("dweights", n_weights_), dw_sums_ = flat("dweights.sums", n_weights_);
    steps_ = flat("steps", 32 * steps), dsteps_ = flat("dsteps", 32 * steps);
    parts_ = flat("dweights.parts", gpu::partial_rows(tokens_) * most);
}

template <class T>
int AveragesOnGpu<T>::weight(int k, int j) const {
    const std::vector<int>& sources = average(k).sources;
    return places(k).weight +
           static_cast<int>(std::find(sources.begin(), sources.end(), j) - sources.begin());
}
template <class T>
int AveragesOnGpu<T>::own(int k) const {
    return average(k).mixes() ? weight(k, -1) : -1;  // after the sources
}

template <class T>
void AveragesOnGpu<T>::make_tables() {
    tables_.clear();
    for (const Average& a : averages_) tables_.push_back(a.program.tables(copies_));
    flat_places_ = copies_(flat_), sum_places_ = copies_(sums_);
}

template <class T>
void AveragesOnGpu<T>::begin(const Context& ctx) {
    if (n_weights_ == 0) return;
    if (!copies_.made()) copies_.make(ctx.device, [&] { make_tables(); });
    on_gpu(ctx, [&](auto device) { begin(device, ctx); });
}

template <class T>
void AveragesOnGpu<T>::read(const Context& ctx, const Site& site, const PreNorm<T>& norm) const {
    on_gpu(ctx, [&](auto device) { read(device, ctx, site, norm); });
}

template <class T>
void AveragesOnGpu<T>::read_backward(const Context& ctx, const Site& site,
                                     const PreNorm<T>& norm) const {
    on_gpu(ctx, [&](auto device) { read_backward(device, ctx, site, norm); });
}

template <class T>
void AveragesOnGpu<T>::end_backward(const Context& ctx) const {
    if (n_weights_ > 0) on_gpu(ctx, [&](auto device) { end_backward(device, ctx); });
}

template class AveragesOnGpu<float>;
template class AveragesOnGpu<double>;
template class AveragesOnGpu<Bf16>;

}  // namespace plumb
