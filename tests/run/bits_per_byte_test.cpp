#include "catch.h"
#include "support/run_program.h"

#include <cmath>
#include <numbers>

using namespace plumb;
using namespace plumb::test;

namespace {

double per_byte(double loss, double bytes_per_token) {
    return loss / (bytes_per_token * std::numbers::ln2);
}

}  // namespace

TEST_CASE("bits per byte count the bytes of a token", "[run]") {
    const TempFolder temp;
    std::string text;
    for (int i = 0; i < 400; ++i) text += i % 7 == 0 ? "\u00e4" : i % 3 == 0 ? "\u00f6" : "\u00fc";
    spill(temp / "umlauts.txt", text);  // one token, two bytes each
    const std::string data = temp / "data", run = temp / "run";
    REQUIRE(run_plumb({"data", "prepare", (temp / "umlauts.txt").string(), "--out", data,
                       "--tokenizer", "char"})
                .code == 0);
    const Outcome o = run_plumb({"train", "data.path=" + data, "model.layers=1", "model.width=16",
                                 "model.context=16", "train.steps=4", "train.eval_every=2",
                                 "train.log_every=1", "--threads", "1", "--out", run});
    INFO(o.out);
    REQUIRE(o.code == 0);
    std::istringstream lines(slurp(std::filesystem::path(run) / "metrics.jsonl"));
    int seen = 0;
    for (std::string line; std::getline(lines, line);) {
        const auto j = nlohmann::json::parse(line);
        if (!j.contains("val/loss") || j["val/loss"].is_null()) continue;
        ++seen;
        CHECK(j["val/bpb"].get<double>() == Approx(per_byte(j["val/loss"], 2)).epsilon(1e-12));
    }
    CHECK(seen >= 2);
    const auto summary = nlohmann::json::parse(slurp(std::filesystem::path(run) / "summary.json"));
    CHECK(summary["final_val_bpb"].get<double>() ==
          Approx(per_byte(summary["final_val_loss"], 2)).epsilon(1e-12));
}
