#include "record/measures.h"

#include "catch.h"
#include "formats/safetensors.h"
#include "record/parameters.h"
#include "record/probes.h"
#include "support/run_program.h"
#include "support/tiny_trainer.h"

#include <cmath>
#include <limits>
#include <set>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("what a run writes by depth is what the table of measures says", "[record]") {
    TempFolder folder;
    const Outcome o = run_plumb(
        {"train", "data.task=markov", "mixer=highway", "model.layers=1", "model.width=8",
         "model.heads=1", "model.context=8", "train.batch=2", "train.steps=2", "train.warmup=1",
         "record.probe_every=1", "--threads", "1", "--out", folder / "run"});
    INFO(o.out);
    REQUIRE(o.code == 0);
    std::set<std::string> written{}, described{"step", "depth", "site", "kind"};
    for (const Measure* m : measures_of(MeasurePlace::depth)) described.insert(m->key);
    std::istringstream lines(slurp(folder / "run/depth.jsonl"));
    for (std::string text; std::getline(lines, text);) {
        const auto line = nlohmann::json::parse(text);
        for (const auto& [key, value] : line.items()) written.insert(key);
    }
    CHECK(written == described);
    const auto table = nlohmann::json::parse(slurp(folder / "run/measures.json"));
    REQUIRE(table.size() == measures().size());
    CHECK(table[0]["key"] == "write_share");
    CHECK(table[0]["comparable"] == true);
    const auto file = SafetensorsFile::open(folder / "run/matrix/step_00000002.safetensors");
    std::set<std::string> tensors;
    for (const Measure* m : measures_of(MeasurePlace::matrix)) tensors.insert(m->key);
    const auto names = file.names();
    CHECK(std::set<std::string>(names.begin(), names.end()) == tensors);
    std::set<std::string> logged, known{"step", "tokens", "lr", "val/bpb"};  // bpb: of text alone
    for (const Measure* m : measures_of(MeasurePlace::metrics)) known.insert(m->key);
    std::istringstream metrics(slurp(folder / "run/metrics.jsonl"));
    for (std::string text; std::getline(metrics, text);) {
        const auto line = nlohmann::json::parse(text);
        for (const auto& [key, value] : line.items()) logged.insert(key);
    }
    logged.insert("val/bpb");
    CHECK(logged == known);
    const auto summary = nlohmann::json::parse(slurp(folder / "run/summary.json"));
    for (const char* key : {"final_val_loss", "last_val_loss", "best_val_loss"}) {
        CHECK(measure(key).place == MeasurePlace::outcome);
        CHECK(summary.contains(key));
    }
}

TEST_CASE("every measure says what it is, once", "[record]") {
    std::set<std::string> keys;
    for (const Measure& m : measures()) {
        INFO(m.key);
        CHECK(keys.insert(m.key).second);
        CHECK_FALSE((m.name.empty() || m.unit.empty() || m.reduction.empty()));
        CHECK(m.meaning.ends_with("."));
        CHECK((m.field != nullptr) + (m.list != nullptr) == (m.place == MeasurePlace::depth));
        CHECK((m.tensor != nullptr) == (m.place == MeasurePlace::matrix));
        const bool of_run = m.place > MeasurePlace::summary;
        CHECK((m.better != Better::neither) == (of_run && m.comparable));
        CHECK(to_json(m).contains("better") == (m.better != Better::neither));
    }
}

TEST_CASE("slope, variation and growth over depth", "[record]") {
    const double none = std::numeric_limits<double>::quiet_NaN();
    const auto summary = [](const std::string& key, std::vector<double> by_depth) {
        for (const Measure& m : measures())
            if (m.key == key) return m.summarise(by_depth);
        throw std::runtime_error(key);
    };
    // Embedding and output do not count: 8, 4, 2, 1 falls by ln 2 a sublayer.
    const std::vector<double> halves{99, 8, 4, 2, 1, none};
    CHECK(summary("dout_log_slope", halves) == Approx(-std::log(2.0)).epsilon(1e-14));
    // Mean 3.75, squares 18.0625 + 0.0625 + 3.0625 + 7.5625 over 3.
    CHECK(summary("dout_cv", halves) == Approx(std::sqrt(28.75 / 3) / 3.75).epsilon(1e-14));
    CHECK(summary("read_growth", {none, 2, 3, 5}) == 2.5);
    CHECK(std::isnan(summary("dout_cv", {1, 2, 3})));
}

// v_l is linear in the last weight matrix of its sublayer, so a gain on it is a gain on v_l.
TEST_CASE("the first-order ablation is the derivative by a gain on an output", "[record]") {
    TinyTrainer t = tiny_trainer("attnres");
    for (long s = 0; s < 3; ++s) t.step(s);
    Model<float>& model = t.trainer->model();
    DepthProbe<float> probe(model.mixer(), 1);
    t.trainer->probe(t.ctx, 4, probe);
    double all = 0, largest = 0;
    for (const DepthRecord& r : probe.records()) {
        if (!r.ablation) continue;
        all += *r.ablation;
        largest = std::max(largest, std::abs(*r.ablation));
        if (r.depth == 0) continue;
        const ParamId last = model.weights_at(r.depth).back();
        const View<const float> w = model.params().value(last), g = model.params().grad(last);
        double gain = 0;
        for (Index i = 0; i < w.count(); ++i)
            gain += static_cast<double>(w.data[i]) * static_cast<double>(g.data[i]);
        INFO(r.site);
        CHECK(*r.ablation == Approx(gain).epsilon(1e-4).margin(1e-8));
    }
    // A gain on all of them together changes nothing that a norm would see.
    CHECK(largest > 1e-4);
    CHECK(std::abs(all) < 1e-5 * largest + 1e-7);
}
