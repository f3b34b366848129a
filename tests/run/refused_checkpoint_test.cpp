// Checkpoints that a run must not go on from.
#include "catch.h"
#include "support/run_program.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// Sets the first number of a tensor in a safetensors file.
void poison(const fs::path& file, const std::string& tensor, float value) {
    std::string bytes = slurp(file);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    const auto json = nlohmann::json::parse(bytes.substr(8, header));
    const std::size_t at = json.at(tensor).at("data_offsets").at(0);
    std::memcpy(bytes.data() + 8 + header + at, &value, sizeof value);
    spill(file, bytes);
}

}  // namespace

TEST_CASE(
    "a checkpoint of another step, seed, mixer, setting or with impossible numbers is refused",
    "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run", last = checkpoint_of(run, 20);
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    spill(run / "STATUS", "running\n");
    const std::string state = slurp(last / "state.json"), model = slurp(last / "model.safetensors"),
                      optimizer = slurp(last / "optimizer.safetensors");
    const auto refused = [&](const std::vector<std::string>& mentions) {
        sign(last);
        const auto before = content(run);
        const Outcome o = run_plumb({"train", "--out", run, "--resume", "auto"});
        INFO(o.out);
        CHECK(o.code == 4);
        for (const std::string& text : mentions) CHECK_THAT(o.out, contains_text(text));
        CHECK_THAT(o.out, contains_text("--resume-from 15 goes on"));
        CHECK(content(run) == before);
        spill(last / "state.json", state);
        spill(last / "model.safetensors", model);
        spill(last / "optimizer.safetensors", optimizer);
    };
    const auto edited = [&](const std::string& key, const nlohmann::json& value) {
        auto json = nlohmann::json::parse(state);
        json[nlohmann::json::json_pointer(key)] = value;
        spill(last / "state.json", json.dump());
    };
    edited("/step", 3), refused({"state.json", "step 3"});
    edited("/seed", 2), refused({"state.json", "seed 2, not 1"});
    edited("/mixer", "mhc"), refused({"state.json", "the mixer mhc, not standard"});
    edited("/settings/train.lr", "0.5"), refused({"another config", "train.lr (0.5 there, 0.001"});
    edited("/step", "twenty"), refused({"state.json", "must be number"});
    edited("/best_step", nullptr), refused({"state.json"});
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const std::string weight = "layer.0.mlp.up.weight";
    poison(last / "model.safetensors", weight, NAN), refused({weight + " is not finite"});
    poison(last / "optimizer.safetensors", "v." + weight, kInf);
    refused({"optimizer.safetensors is damaged: v." + weight + " is not finite"});
    poison(last / "optimizer.safetensors", "v." + weight, -1e-9f);
    refused({"v." + weight + " is negative"});
    poison(last / "optimizer.safetensors", "m." + weight, kInf), refused({"m." + weight});

    // A checkpoint from beyond the last step: the run must not look for a step that never comes.
    const fs::path beyond = checkpoint_of(run, 40);
    fs::copy(last, beyond);
    auto json = nlohmann::json::parse(state);
    json["step"] = 40;
    spill(beyond / "state.json", json.dump());
    sign(beyond);
    const Outcome o = run_plumb({"train", "--out", run, "--resume", "auto"});
    CHECK((o.code == 2 || o.code == 4));
    CHECK_THAT(o.out, contains_text("train.steps"));
    fs::remove_all(beyond);

    // Schema 1: no hashes and no settings.
    json["step"] = 20, json.erase("settings"), json.erase("schema");
    spill(last / "state.json", json.dump());
    spill(last / "DONE", "");
    CHECK(run_plumb({"train", "--out", run, "--resume", "auto"}).code == 0);
}
