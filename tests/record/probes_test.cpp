#include "record/probes.h"

#include "catch.h"
#include "support/near.h"

#include <cmath>
#include <numbers>

using namespace plumb;
using test::close;

namespace {

constexpr int kSublayers = 2;

View<const double> rows(const std::vector<double>& x, Index channels) {
    return {x.data(), {{'N', std::ssize(x) / channels}, {'C', channels}}, Device::cpu};
}

// M is a triangle of ones.
class Ones final : public DepthMatrix<double> {
public:
    Ones() : DepthMatrix<double>({kSublayers, 2, 2, 0.0}) {}

protected:
    OfToken do_matrices(const Context&) const override {
        return [](Index, View<double> m, int) {
            for (Index r = 0; r <= kSublayers; ++r)
                std::fill_n(m.data + r * (kSublayers + 1), r + 1, 1.0);
        };
    }
};

// The same but for the first read, which has three ways and in them M[1,0] = 1, 2, 3.
class Apart final : public DepthMatrix<double> {
public:
    Apart() : DepthMatrix<double>({kSublayers, 2, 2, 0.0}) {}
    int ways(int l) const override { return l == 1 ? 3 : 1; }

protected:
    OfToken do_matrices(const Context&) const override {
        return [](Index, View<double> m, int way) {
            for (Index r = 0; r <= kSublayers; ++r)
                std::fill_n(m.data + r * (kSublayers + 1), r + 1, 1.0);
            m.data[0] = way + 1;
        };
    }
};

}  // namespace

TEST_CASE("probes measure norms, contributions and cosines by depth", "[record]") {
    const Context ctx;
    const Ones mixer;
    DepthProbe<double> probe(mixer, 1);
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

    const auto r = probe.records();
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
    // The largest, angles 0.28 of a half turn and a half turn, and sums over tokens of v dLoss/dv.
    CHECK(*r[0].out_amax == 4);
    CHECK(*r[3].read_amax == 5);
    CHECK(*r[2].angular_distance == close((std::acos(0.96) / std::numbers::pi + 1) / 2));
    CHECK(*r[2].ablation == close(4.0));
    CHECK_FALSE(r[0].ablation);
    // Reads of M's: h_3 is (1, 12) and (4, 5).
    CHECK(*r[0].output_share == close((25.0 / 145 + 32.0 / 41) / 2));
    CHECK(*r[1].write_share == close((120.0 / 145 + 4.0 / 32) / 2));  // of (1, 12) and (4, 4)
}

TEST_CASE("a token of norm zero gives no NaN", "[record]") {
    const Context ctx;
    const Ones mixer;
    DepthProbe<double> probe(mixer, 1);
    const std::vector<double> zero(4, 0.0), v{1, 0, 0, 1};
    probe.tensor(ctx, Quantity::output, 0, rows(v, 2));
    probe.tensor(ctx, Quantity::read_input, 1, rows(zero, 2));
    probe.tensor(ctx, Quantity::output, 1, rows(v, 2));
    probe.tensor(ctx, Quantity::read_input, 2, rows(v, 2));
    CHECK(*probe.records()[1].contribution == 0);
    CHECK(*probe.records()[2].cosine == 0);
    CHECK(*probe.records()[2].angular_distance == 0);
}

TEST_CASE("probes keep M of each way", "[record]") {
    const Context ctx;
    const Apart mixer;
    DepthProbe<double> probe(mixer, 1);
    const std::vector<double> v{1, 2, 3, 4};
    probe.tensor(ctx, Quantity::output, 0, rows(v, 2));
    for (int l = 1; l <= 3; ++l) {
        probe.tensor(ctx, Quantity::read_input, l, rows(v, 2));
        if (l < 3) probe.tensor(ctx, Quantity::output, l, rows(v, 2));
    }
    const std::vector<MatrixSummary> ways = probe.matrices();
    REQUIRE(ways.size() == 3);
    for (std::size_t way = 0; way < 3; ++way) {
        CHECK(ways[way].mean[0] == static_cast<double>(way + 1));
        CHECK((ways[way].mean[3] == 1 && ways[way].share[3] == close(0.5)));
    }
    CHECK(probe.matrix().mean == ways.front().mean);
}
