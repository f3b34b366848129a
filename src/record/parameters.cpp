#include "record/parameters.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

double log_magnitude(double magnitude) {
    return magnitude > 0 ? std::max(std::log10(magnitude), kHistogramLow) : kHistogramLow;
}

std::size_t histogram_bin(double log) {
    const double bin = std::floor((log - kHistogramLow) / kHistogramStep);
    return static_cast<std::size_t>(std::clamp(bin, 0.0, kHistogramBins - 1.0));
}

template <class Real>
std::vector<View<const Real>> gradients_of(ParamStore<Real>& params,
                                           const std::vector<ParamId>& ids) {
    std::vector<View<const Real>> out;
    for (const ParamId id : ids) out.push_back(params.grad(id));
    return out;
}

// |W - before| / |W|; empty for W = 0.
template <class Real>
std::optional<double> update_ratio(ParamStore<Real>& params, const std::vector<ParamId>& ids,
                                   std::span<const Real> before) {
    double change = 0, size = 0;
    for (const ParamId id : ids) {
        const Real* old = before.data() + params.specs()[static_cast<std::size_t>(id.index)].offset;
        for_fetched<Real>(params.value(id), [&](Real value) {
            const auto w = static_cast<double>(value);
            const double d = w - static_cast<double>(*old++);
            change += d * d;
            size += w * w;
        });
    }
    return size > 0 ? std::optional(std::sqrt(change / size)) : std::nullopt;
}

}  // namespace

template <class Real>
GradientSummary summarise_gradients(const std::vector<View<const Real>>& grads) {
    GradientSummary s;
    std::vector<Real> magnitudes;
    double squares = 0;
    for (const View<const Real>& g : grads)
        for_fetched(g, [&](Real gradient) {
            const Real x = std::abs(gradient);
            magnitudes.push_back(x);
            squares += static_cast<double>(x) * static_cast<double>(x);
            const double log = log_magnitude(static_cast<double>(x));
            ++s.histogram[histogram_bin(log)];
            const bool first = magnitudes.size() == 1;
            s.log_min = first ? log : std::min(s.log_min, log);
            s.log_max = first ? log : std::max(s.log_max, log);
            s.log_sum += log, s.log_squares += log * log;
        });
    if (magnitudes.empty()) return s;
    s.norm = std::sqrt(squares);
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

std::vector<ParamId> mixer_params_at(const std::vector<ParamSpec>& specs, const Layout& layout,
                                     int l) {
    const std::string site = layout.name(l) + ".mixer.";
    const std::string block =
        layout.ends_block(l) ? Layout::block_name(layout.block(l)) + ".mixer." : site;
    std::vector<ParamId> out;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        const std::string& name = specs[i].name;
        const bool here = name.starts_with(site) || name.starts_with(block);
        if (specs[i].group == Group::mixer && here) out.push_back({static_cast<Index>(i)});
    }
    return out;
}

template <class Real>
void add_parameter_figures(ParamStore<Real>& params, const Layout& layout,
                           const std::vector<ParamId>& weights, std::span<const Real> before,
                           DepthRecord& out) {
    require(before.empty() || std::ssize(before) == params.flat_size(),
            "update ratio: other parameters before");
    const std::vector<ParamId> mixer = mixer_params_at(params.specs(), layout, out.depth);
    out.gradients = summarise_gradients(gradients_of(params, weights));
    out.pgrad_norm = out.gradients.norm;
    out.pgrad_rms = out.gradients.rms;
    if (!mixer.empty())
        out.mixer_pgrad_norm = summarise_gradients(gradients_of(params, mixer)).norm;
    if (before.empty()) return;
    out.update_ratio = update_ratio(params, weights, before);
    out.mixer_update_ratio = update_ratio(params, mixer, before);
}

template GradientSummary summarise_gradients(const std::vector<View<const float>>&);
template GradientSummary summarise_gradients(const std::vector<View<const double>>&);
template void add_parameter_figures(ParamStore<float>&, const Layout&, const std::vector<ParamId>&,
                                    std::span<const float>, DepthRecord&);
template void add_parameter_figures(ParamStore<double>&, const Layout&, const std::vector<ParamId>&,
                                    std::span<const double>, DepthRecord&);

}  // namespace plumb
