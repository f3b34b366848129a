#include "record/parameters.h"

#include "catch.h"
#include "mixers/layout.h"
#include "support/every_mixer.h"
#include "support/near.h"
#include "support/tiny_trainer.h"

#include <cmath>
#include <numeric>

using namespace plumb;
using namespace plumb::test;

namespace {

View<const double> flat(const std::vector<double>& x) {
    return {x.data(), {{'P', std::ssize(x)}}, Device::cpu};
}

}  // namespace

TEST_CASE("gradient quantiles are nearest ranks of the magnitudes", "[record]") {
    std::vector<double> g(101);
    std::iota(g.begin(), g.end(), 0.0);  // 0, 1, ..., 100: quantile q is 100 q
    for (std::size_t i = 1; i < g.size(); i += 2) g[i] = -g[i];
    std::swap(g[3], g[97]);
    const std::vector<double> a(g.begin(), g.begin() + 40), b(g.begin() + 40, g.end());
    const GradientSummary s = summarise_gradients<double>({flat(a), flat(b)});
    const std::array<double, 6> expected{5, 25, 50, 75, 95, 100};
    CHECK(s.quantiles == expected);
    CHECK(s.rms == close(std::sqrt(100.0 * 101 * 201 / 6 / 101)));
}

TEST_CASE("gradient histogram counts half decades, ends included", "[record]") {
    // bin = floor((log10 |g| + 12) / 0.5)
    const std::vector<double> g{0.0, 1e-30, 1.1e-12, -3.3e-12, 1.1, -2.0, 3.3, 31.0, 33.0, 1e9};
    const GradientSummary s = summarise_gradients<double>({flat(g)});
    std::array<long, kHistogramBins> expected{};
    expected[0] = 3;
    expected[1] = 1;
    expected[24] = 2;  // 1 to 3.16
    expected[25] = 1;
    expected[26] = 1;
    expected[27] = 2;
    CHECK(s.histogram == expected);
    CHECK(s.log_min == -12);
    CHECK(s.log_max == 9);
    double sum = 0, squares = 0;
    for (const double x : g) {
        const double log = std::abs(x) < 1e-12 ? -12.0 : std::log10(std::abs(x));
        sum += log, squares += log * log;
    }
    CHECK(s.log_sum == close(sum));
    CHECK(s.log_squares == close(squares));
}

TEST_CASE("no gradients give an empty summary", "[record]") {
    const GradientSummary s = summarise_gradients<float>({});
    CHECK(s.rms == 0);
    CHECK(s.quantiles.back() == 0);
    CHECK(std::accumulate(s.histogram.begin(), s.histogram.end(), 0L) == 0);
}

TEST_CASE("every parameter of a mixer belongs to one depth", "[record]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        MixerConfig c = config;
        c.set("dilation", 1L), c.set("period", 1L);  // two blocks only
        const TransformerShape shape{tiny_model_config(), c, 11, 1, 1};
        const auto model = make_model(shape, "fp32");
        std::vector<int> uses(model->params().specs().size());
        for (int l = 0; l <= model->sublayers() + 1; ++l)
            for (const ParamId id : mixer_params_at(model->params().specs(), model->layout(), l))
                ++uses[static_cast<std::size_t>(id.index)];
        for (std::size_t i = 0; i < uses.size(); ++i) {
            const ParamSpec& spec = model->params().specs()[i];
            INFO(spec.name);
            CHECK(uses[i] == (spec.group == Group::mixer ? 1 : 0));
        }
    });
}

TEST_CASE("gradient norms and update ratios of a depth", "[record]") {
    ParamStore<double> params;
    const ParamId w = params.declare({.name = "layer.0.attn.w", .shape = {{'P', 2}}, .init = {}});
    params.declare(
        {.name = "layer.0.attn.mixer.q", .shape = {{'P', 2}}, .init = {}, .group = Group::mixer});
    params.allocate(1);
    const ParamId q = params.find("layer.0.attn.mixer.q");
    DepthRecord r;
    const Layout layout(2);
    r.depth = 1;
    const auto set = [](View<double> x, double a, double b) { x.data[0] = a, x.data[1] = b; };
    set(params.grad(w), 3, -4);
    set(params.grad(q), 5, 12);
    const std::vector<double> before = params.values();
    set(params.value(w), 0.3, 0.4);
    add_parameter_figures<double>(params, layout, {w}, {}, r);
    CHECK(*r.pgrad_norm == close(5.0));
    CHECK(*r.pgrad_rms == close(5 / std::sqrt(2.0)));
    CHECK(*r.mixer_pgrad_norm == close(13.0));
    CHECK_FALSE(r.update_ratio);
    add_parameter_figures<double>(params, layout, {w}, before, r);
    CHECK(*r.update_ratio == close(1.0));
    CHECK_FALSE(r.mixer_update_ratio);  // of zeros
    set(params.value(q), 0, 2);
    add_parameter_figures<double>(params, layout, {w}, params.values(), r);
    CHECK(*r.update_ratio == 0);
    CHECK(*r.mixer_update_ratio == 0);
    CHECK_THROWS_AS(
        add_parameter_figures<double>(params, layout, {w}, std::span(before).subspan(1), r),
        InternalError);
}
