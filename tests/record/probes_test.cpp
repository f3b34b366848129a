#include "record/probes.h"

#include "catch.h"

#include <cmath>
#include <numeric>

using namespace plumb;

namespace {

constexpr int kSublayers = 2;

View<const double> rows(const std::vector<double>& x, Index channels) {
    return {x.data(), {{'N', std::ssize(x) / channels}, {'C', channels}}, Device::cpu};
}

View<const double> flat(const std::vector<double>& x) { return rows(x, std::ssize(x)); }

Approx close(double x) { return Approx(x).epsilon(1e-12); }

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
}

TEST_CASE("no gradients give an empty summary", "[record]") {
    const GradientSummary s = summarise_gradients<float>({});
    CHECK(s.rms == 0);
    CHECK(s.quantiles.back() == 0);
    CHECK(std::accumulate(s.histogram.begin(), s.histogram.end(), 0L) == 0);
}

TEST_CASE("probes measure norms, contributions and cosines by depth", "[record]") {
    const Context ctx;
    DepthProbe<double> probe(kSublayers, 2, 2);
    const std::vector<double> v0{1, 2, 3, 4}, h1{3, 4, 0, 5}, v1{0, 10, 1, 0}, h2{4, 3, 0, -2},
        v2{0, 0, 0, 1}, h3{0, 1, 5, 0}, streams{1, 1, 1, 1, 3, 3, 3, 3};
    probe.tensor(ctx, Quantity::output, 0, rows(v0, 2));
    probe.tensor(ctx, Quantity::stream, 0, rows(v0, 2));
    probe.tensor(ctx, Quantity::read_input, 1, rows(h1, 2));
    probe.tensor(ctx, Quantity::output, 1, rows(v1, 2));
    probe.tensor(ctx, Quantity::stream, 1,
                 {streams.data(), {{'N', 2}, {'K', 2}, {'C', 2}}, Device::cpu});
    probe.tensor(ctx, Quantity::read_input, 2, rows(h2, 2));
    probe.tensor(ctx, Quantity::output, 2, rows(v2, 2));
    probe.tensor(ctx, Quantity::read_input, 3, rows(h3, 2));
    probe.tensor(ctx, Quantity::dread_input, 3, rows(h1, 2));
    probe.tensor(ctx, Quantity::doutput, 2, rows(v0, 2));

    const auto& r = probe.records();
    REQUIRE(r.size() == 4);
    CHECK((r[0].kind == "embed" && r[1].kind == "attn" && r[2].kind == "mlp" &&
           r[3].kind == "output"));
    CHECK((r[1].site == "layer.0.attn" && r[2].site == "layer.0.mlp"));
    CHECK(*r[0].out_rms == close(std::sqrt(30.0 / 4)));
    CHECK_FALSE(r[0].read_rms);
    CHECK_FALSE(r[0].contribution);
    CHECK(*r[1].read_rms == close(std::sqrt(50.0 / 4)));
    CHECK(*r[1].stream_rms == close(std::sqrt(40.0 / 8)));
    CHECK(*r[1].contribution == close((10.0 / 5 + 1.0 / 5) / 2));
    CHECK_FALSE(r[1].cosine);
    CHECK(*r[2].contribution == close((0.0 / 5 + 1.0 / 2) / 2));
    CHECK(*r[2].cosine == close((24.0 / 25 - 1.0) / 2));
    CHECK(*r[2].dout_rms == close(std::sqrt(30.0 / 4)));
    CHECK_FALSE(r[2].dread_rms);
    CHECK(*r[3].cosine == close((3.0 / 5 + 0.0) / 2));
    CHECK(*r[3].dread_rms == close(std::sqrt(50.0 / 4)));
    CHECK_FALSE(r[3].out_rms);
}

TEST_CASE("a token of norm zero gives no NaN", "[record]") {
    const Context ctx;
    DepthProbe<double> probe(kSublayers, 2, 2);
    const std::vector<double> zero(4, 0.0), v{1, 0, 0, 1};
    probe.tensor(ctx, Quantity::read_input, 1, rows(zero, 2));
    probe.tensor(ctx, Quantity::output, 1, rows(v, 2));
    probe.tensor(ctx, Quantity::read_input, 2, rows(v, 2));
    CHECK(*probe.records()[1].contribution == 0);
    CHECK(*probe.records()[2].cosine == 0);
}
