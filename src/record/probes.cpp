#include "record/probes.h"

#include "core/parallel.h"
#include "core/site.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace plumb {
namespace {

int histogram_bin(double magnitude) {
    if (!(magnitude > 0)) return 0;
    const double bin = std::floor((std::log10(magnitude) - kHistogramLow) / kHistogramStep);
    return static_cast<int>(std::clamp(bin, 0.0, kHistogramBins - 1.0));
}

DepthRecord empty_record(int depth, int sublayers) {
    DepthRecord r{};
    r.depth = depth;
    r.site = site_name(depth, sublayers);
    r.kind = depth == 0 ? "embed" : depth > sublayers ? "output" : depth % 2 == 1 ? "attn" : "mlp";
    return r;
}

}  // namespace

template <class Real>
GradientSummary summarise_gradients(const std::vector<View<const Real>>& grads) {
    GradientSummary s;
    std::vector<Real> magnitudes;
    double squares = 0;
    for (const View<const Real>& g : grads)
        for (Index i = 0; i < g.count(); ++i) {
            const Real x = std::abs(g.data[i]);
            magnitudes.push_back(x);
            squares += static_cast<double>(x) * static_cast<double>(x);
            ++s.histogram[static_cast<std::size_t>(histogram_bin(static_cast<double>(x)))];
        }
    if (magnitudes.empty()) return s;
    s.rms = std::sqrt(squares / static_cast<double>(magnitudes.size()));
    // Nearest-rank quantiles; each selection narrows the range of the next.
    constexpr std::array<double, 6> kRanks{0.05, 0.25, 0.5, 0.75, 0.95, 1.0};
    auto from = magnitudes.begin();
    for (std::size_t q = 0; q < kRanks.size(); ++q) {
        const auto last = static_cast<double>(magnitudes.size() - 1);
        const auto at =
            magnitudes.begin() + static_cast<std::ptrdiff_t>(std::llround(kRanks[q] * last));
        std::nth_element(from, at, magnitudes.end());
        s.quantiles[q] = static_cast<double>(*at);
        from = at;
    }
    return s;
}

template <class Real>
DepthProbe<Real>::DepthProbe(int sublayers, Index tokens, Index channels)
    : channels_(channels),
      previous_(static_cast<std::size_t>(tokens * channels)),
      h_norm_(static_cast<std::size_t>(tokens)) {
    for (int depth = 0; depth <= sublayers + 1; ++depth)
        records_.push_back(empty_record(depth, sublayers));
}

template <class Real>
void DepthProbe<Real>::tensor(const Context& ctx, Quantity what, int l, View<const Real> x) {
    DepthRecord& r = records_.at(static_cast<std::size_t>(l));
    switch (what) {
        case Quantity::output:
            r.out_rms = rms(ctx, x);
            if (l > 0) r.contribution = contribution(ctx, x);
            break;
        case Quantity::stream:
            r.stream_rms = rms(ctx, x);
            break;
        case Quantity::read_input:
            read_input(ctx, r, l, x);
            break;
        case Quantity::doutput:
            r.dout_rms = rms(ctx, x);
            break;
        case Quantity::dread_input:
            r.dread_rms = rms(ctx, x);
            break;
    }
}

template <class Real>
void DepthProbe<Real>::read_input(const Context& ctx, DepthRecord& r, int l, View<const Real> h) {
    r.read_rms = rms(ctx, h);
    std::vector<double> cosines(h_norm_.size());
    for_tokens(ctx, h.extent(0), [&](Index n) {
        const auto k = static_cast<std::size_t>(n);
        Real* before = previous_.data() + n * channels_;
        const double norm = std::sqrt(static_cast<double>(dot(h.row(n), h.row(n), channels_)));
        const double product = static_cast<double>(dot<Real>(h.row(n), before, channels_));
        const double scale = norm * h_norm_[k];
        cosines[k] = scale > 0 ? product / scale : 0.0;
        h_norm_[k] = norm;
        std::copy(h.row(n), h.row(n) + channels_, before);
    });
    if (l >= 2)
        r.cosine = std::accumulate(cosines.begin(), cosines.end(), 0.0) /
                   static_cast<double>(cosines.size());
}

template <class Real>
double DepthProbe<Real>::contribution(const Context& ctx, View<const Real> v) const {
    std::vector<double> ratios(h_norm_.size());
    for_tokens(ctx, v.extent(0), [&](Index n) {
        const auto k = static_cast<std::size_t>(n);
        const double norm = std::sqrt(static_cast<double>(dot(v.row(n), v.row(n), channels_)));
        ratios[k] = h_norm_[k] > 0 ? norm / h_norm_[k] : 0.0;
    });
    return std::accumulate(ratios.begin(), ratios.end(), 0.0) / static_cast<double>(ratios.size());
}

template GradientSummary summarise_gradients(const std::vector<View<const float>>&);
template GradientSummary summarise_gradients(const std::vector<View<const double>>&);
template class DepthProbe<float>;
template class DepthProbe<double>;

}  // namespace plumb
