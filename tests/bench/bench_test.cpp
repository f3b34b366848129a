#include "bench/bench_report.h"
#include "catch.h"
#include "mixers/mixers.h"

#include <numeric>

using namespace plumb;

namespace {

BenchOptions quick() { return {{Device::cpu, 1}, "fp32", 3, 1}; }

const BenchShape kTiny{"tiny", 2, 16, 2, 8, 2};

}  // namespace

TEST_CASE("bench: median and quartiles", "[bench]") {
    const Spread odd = spread({5, 1, 3, 2, 4});
    CHECK(odd.median == 3);
    CHECK(odd.low == 2);
    CHECK(odd.high == 4);
    const Spread even = spread({4, 1, 3, 2});
    CHECK(even.median == Approx(2.5));
    CHECK(even.low == Approx(1.75));
    CHECK(even.high == Approx(3.25));
    CHECK(spread({7}).low == 7);
    CHECK_THROWS_AS(spread({}), InternalError);
}

TEST_CASE("bench: shapes as typed", "[bench]") {
    const BenchShape a = parse_bench_shape("a");
    CHECK(a.layers == 12);
    CHECK(a.width == 256);
    CHECK(a.batch == 8);
    CHECK(parse_bench_shape("c").heads == 6);
    const BenchShape own = parse_bench_shape("3x192x64x2");
    CHECK(own.layers == 3);
    CHECK(own.width == 192);
    CHECK(own.heads == 3);
    CHECK(own.context == 64);
    CHECK(own.batch == 2);
    CHECK(parse_bench_shape("1x48x8x1").heads == 1);
    for (const char* wrong : {"d", "", "12x256x256", "12x256x256x8x1", "0x16x8x2", "1x16x8x2y"})
        CHECK_THROWS_AS(parse_bench_shape(wrong), UsageError);
}

TEST_CASE("bench: mixers as typed, the baseline first and each once", "[bench]") {
    const auto all = parse_bench_mixers({"all"}, "highway");
    CHECK(all.size() == mixers().size());
    CHECK(all.front().label == "highway");
    const auto two =
        parse_bench_mixers({"attnres_block:n_blocks=2,key_gain=false", "standard"}, "standard");
    REQUIRE(two.size() == 2);
    CHECK(two[1].name == "attnres_block");
    CHECK(two[1].settings == std::vector<std::string>{"mixer.n_blocks=2", "mixer.key_gain=false"});
    CHECK(bench_config(kTiny, two[1], {}).mixer.integer("n_blocks") == 2);
    CHECK_THROWS_AS(parse_bench_mixers({"hypr"}, "standard"), UsageError);
    CHECK_THROWS_AS(bench_config(kTiny, parse_bench_mixers({"mhc:gate=1"}, "standard")[1], {}),
                    UsageError);
}

TEST_CASE("bench: settings reach the mixers that know them", "[bench]") {
    const auto mixers = parse_bench_mixers({"hyper", "attnres"}, "standard");
    const std::vector<std::string> settings{"mixer.streams=3", "model.width=32", "train.clip=0"};
    check_bench_overrides(mixers, settings);
    const Config hyper = bench_config(kTiny, mixers[1], settings);
    CHECK(hyper.mixer.integer("streams") == 3);
    CHECK(hyper.model.width == 32);
    CHECK(hyper.model.layers == 2);
    CHECK(hyper.train.clip == 0);
    CHECK(bench_config(kTiny, mixers[2], settings).mixer.integer("streams") ==
          MixerConfig{}.integer("streams"));
    CHECK_THROWS_AS(check_bench_overrides(mixers, {"mixer.gate=vector"}), UsageError);
    CHECK_THROWS_AS(check_bench_overrides(mixers, {"data.task=copy"}), UsageError);
    CHECK_THROWS_AS(check_bench_overrides(mixers, {"width=3"}), UsageError);
}

TEST_CASE("bench: Table 1 of the paper at its own example", "[bench]") {
    constexpr long kLayers = 128, kWidth = 1 << 20;  // m^2 / d vanishes
    const auto moved = [&](const char* name) {
        MixerConfig m;
        m.name = name;
        return paper_moved(m, kLayers, kWidth);
    };
    CHECK(moved("standard").value() == Approx(3));
    CHECK(moved("mhc").value() == Approx(34).epsilon(1e-3));
    CHECK(moved("attnres").value() == Approx(24));
    CHECK(moved("attnres_block").value() == Approx(5.5));
    CHECK_FALSE(moved("highway"));
}

TEST_CASE("bench: synthetic tokens lie in the vocabulary, targets are the next ones", "[bench]") {
    const SyntheticTokens data(kBenchVocab, 8);
    std::vector<std::int32_t> tokens(16), targets(16), again(16);
    const Shape shape{{'B', 2}, {'T', 8}};
    data.train_batch(1, 5, {tokens.data(), shape, Device::cpu},
                     {targets.data(), shape, Device::cpu});
    data.train_batch(1, 5, {again.data(), shape, Device::cpu},
                     {targets.data(), shape, Device::cpu});
    CHECK(tokens == again);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        CHECK((tokens[i] >= 0 && tokens[i] < kBenchVocab));
        if (i % 8 != 7) CHECK(targets[i] == tokens[i + 1]);
    }
}

TEST_CASE("bench: floors take the slower of flops and bytes", "[bench]") {
    const std::vector<Bandwidth> rates{{1e3, 100}, {1e6, 10}};
    MicroBench m{"tiny", "fp32", "op", 1, 50, 200, 0, ""};
    set_floor(m, 10, rates, 500);
    CHECK(m.floor == Approx(5));
    CHECK(m.bound == "flops");
    set_floor(m, 10, rates, 1e9);
    CHECK(m.floor == Approx(20));
    CHECK(m.bound == "bytes");
    CHECK(rate_for(rates, 1e4) == Approx(70));
    CHECK(rate_for(rates, 1e6) == Approx(10));
    MicroBench unknown{"tiny", "fp32", "op", 1, 0, 0, 0, ""};
    set_floor(unknown, 10, rates, 500);
    CHECK(unknown.floor == 0);
}

TEST_CASE("bench: figures of a small comparison agree with each other", "[bench]") {
    const auto mixers = parse_bench_mixers({"hyper"}, "standard");
    std::vector<double> seen;
    BenchOptions options = quick();
    options.progress = [&](double fraction, const std::string&) { seen.push_back(fraction); };
    const ShapeBench s = bench_shape(kTiny, mixers, {}, options);
    CHECK(s.tokens == 16);
    CHECK(s.gemm.size() == 5);
    CHECK(gemm_rate(s.gemm) > 0);
    REQUIRE(s.rows.size() == 2);
    for (const MixerBench& r : s.rows) {
        INFO(r.mixer.label);
        CHECK(r.ratios.size() == 3);
        CHECK((r.step.low <= r.step.median && r.step.median <= r.step.high));
        CHECK(r.overhead.median == Approx(spread(r.ratios).median - 1));
        CHECK(r.tokens_per_s == Approx(16 / r.step.median));
        CHECK(r.gemm_share == Approx(s.flops_per_token * r.tokens_per_s / r.gemm_rate));
        const double named = std::accumulate(r.parts.seconds.begin(), r.parts.seconds.end(), 0.0);
        CHECK(named > 0);
        CHECK(named + r.parts.rest() == Approx(r.parts.total));
        CHECK(r.parts.rest() >= 0);
        CHECK(r.planned_bytes > 0);
    }
    CHECK(s.rows[0].mixer_params == 0);
    CHECK(s.rows[1].mixer_params > 0);
    CHECK(s.rows[1].planned_bytes > s.rows[0].planned_bytes);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK((seen.front() == 0 && seen.back() < 1));
}

// standard.cpp: forward v read, h read and written, less h's first read, at L + 1 sites.
TEST_CASE("bench: what standard counts as moved", "[bench]") {
    const ShapeBench s = bench_shape(kTiny, parse_bench_mixers({}, "standard"), {}, quick());
    constexpr double kSublayers = 4, kForward = 3 * (kSublayers + 1) - 1,
                     kBackward = 2 * (kSublayers + 1) - 1;
    CHECK(s.rows[0].moved_forward == Approx(kForward / kSublayers));
    CHECK(s.rows[0].moved_step == Approx((kForward + kBackward) / kSublayers));
    CHECK(s.rows[0].moved_bytes == Approx((kForward + kBackward) * 16 * 16 * sizeof(float)));
    CHECK(s.rows[0].paper_forward.value() == 3);
}

TEST_CASE("bench: tables, CSV and JSON hold a row per mixer", "[bench]") {
    BenchReport report;
    report.machine = bench_machine({"plumb", "bench"}, 1);
    const auto mixers = parse_bench_mixers({"highway"}, "standard");
    report.compare.push_back(bench_shape(kTiny, mixers, {}, quick()));
    report.depth = report.context = report.compare;
    const auto tables = bench_tables(report);
    REQUIRE(tables.size() == 4);
    for (const TextTable& t : tables) {
        CHECK(t.rows.size() == 2);
        for (const auto& row : t.rows) CHECK(row.size() == t.titles.size());
    }
    const std::string csv = bench_csv(report);
    CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 3 * 2);
    const auto columns = std::count(csv.begin(), csv.begin() + csv.find('\n'), ',');
    CHECK(std::count(csv.begin(), csv.end(), ',') == columns * 7);
    CHECK(bench_json(report)["depth"][0]["mixers"].size() == 2);
    CHECK_FALSE(bench_json(report)["machine"].contains("host"));
    CHECK(bench_markdown(report).find("| highway |") != std::string::npos);
}

TEST_CASE("bench: every op alone takes time and has a floor", "[bench]") {
    const auto mixers = parse_bench_mixers({"all"}, "standard");
    const Context ctx{Device::cpu, 1};
    const std::vector<Bandwidth> rates{{32768, measure_bandwidth(ctx, 32768)}};
    CHECK(rates[0].rate > 0);
    const auto rows = micro_bench(kTiny, mixers, {}, ctx, "fp32", rates, {});
    CHECK(rows.size() == 15 + 2 + 2 + 4 + 2 + 3 + 2 * mixers.size());
    for (const MicroBench& m : rows) {
        INFO(m.op);
        CHECK(m.seconds > 0);
        CHECK(std::isfinite(m.seconds));
        if (m.op.find("mixer ") == std::string::npos) CHECK(m.floor > 0);
    }
}
