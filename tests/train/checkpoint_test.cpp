#include "train/checkpoint.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <array>
#include <cstring>

using namespace plumb;
namespace fs = std::filesystem;

namespace {

struct Toy {
    std::array<float, 6> weight{0.1f, -0.0f, 3, 4, 5, 6};
    std::array<double, 2> moment{1e-300, 0.1};

    std::vector<TensorRef> model() const { return {{"w", "F32", {2, 3}, weight.data()}}; }
    std::vector<TensorRef> optimizer() const { return {{"m", "F64", {2}, moment.data()}}; }
    void save(const fs::path& run, Index step, Index keep = 2) const {
        save_checkpoint(run, step, model(), optimizer(), {{"step", step}, {"best", 0.1 + 0.2}},
                        keep);
    }
};

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> out;
    for (const auto& e : fs::directory_iterator(folder)) out.push_back(e.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

std::string refusal(const SafetensorsFile& file, const std::vector<TensorTarget>& targets) {
    try {
        restore_tensors(file, targets);
    } catch (const IoError& e) {
        return e.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a checkpoint comes back to the bit") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 500);
    const auto newest = newest_checkpoint(run.path());
    REQUIRE(newest);
    CHECK(*newest == run / "checkpoints/step_00000500");
    CHECK(checkpoint_step(*newest) == 500);
    CHECK(names_in(*newest) == std::vector<std::string>{"DONE", "model.safetensors",
                                                        "optimizer.safetensors", "state.json"});
    const Checkpoint c = load_checkpoint(*newest);
    CHECK(c.state["step"] == 500);
    CHECK(c.state["best"].get<double>() == 0.1 + 0.2);
    std::array<float, 6> weight{};
    std::array<double, 2> moment{};
    restore_tensors(c.model, std::vector<TensorTarget>{{"w", "F32", {2, 3}, weight.data()}});
    restore_tensors(c.optimizer, std::vector<TensorTarget>{{"m", "F64", {2}, moment.data()}});
    CHECK(std::memcmp(weight.data(), toy.weight.data(), sizeof weight) == 0);
    CHECK(std::memcmp(moment.data(), toy.moment.data(), sizeof moment) == 0);
}

TEST_CASE("the newest are kept, a save of the same step replaces") {
    TempFolder run;
    Toy toy;
    CHECK_FALSE(newest_checkpoint(run.path()));
    for (const Index step : {5, 10, 100000000, 20, 30}) toy.save(run.path(), step);
    // 100000000 is from the future of 30 and not this save's to remove.
    CHECK(names_in(run / "checkpoints") ==
          std::vector<std::string>{"step_00000020", "step_00000030", "step_100000000"});
    CHECK(newest_checkpoint(run.path())->filename() == "step_100000000");
    toy.weight[0] = 42;
    toy.save(run.path(), 100000000);
    CHECK(names_in(run / "checkpoints") ==
          std::vector<std::string>{"step_00000030", "step_100000000"});
    CHECK(load_checkpoint(*newest_checkpoint(run.path())).model.values<float>("w")[0] == 42);
}

TEST_CASE("what is not whole does not count and is cleaned by the next save") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 10);
    const fs::path folder = run / "checkpoints";
    fs::copy(folder / "step_00000010", folder / ".tmp_step_00000030");
    fs::copy(folder / "step_00000010", folder / "step_00000020");
    fs::remove(folder / "step_00000020/DONE");
    fs::create_directory(folder / "step_best");
    write_file(folder / "step_best/DONE", "");
    CHECK(newest_checkpoint(run.path())->filename() == "step_00000010");
    CHECK_THROWS_WITH(load_checkpoint(folder / "step_00000020"), contains_text("DONE"));
    CHECK_THROWS_AS(checkpoint_step(folder / "step_best"), IoError);
    toy.save(run.path(), 20);
    CHECK(newest_checkpoint(run.path())->filename() == "step_00000020");
    CHECK_FALSE(fs::exists(folder / ".tmp_step_00000030"));
}

TEST_CASE("a failed save leaves the earlier checkpoints") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 10);
    // The optimizer cannot be written; the model already is.
    const std::vector<TensorRef> bad{{"w", "nonsense", {1}, toy.weight.data()}};
    CHECK_THROWS(save_checkpoint(run.path(), 20, toy.model(), bad, {}, 1));
    CHECK(newest_checkpoint(run.path())->filename() == "step_00000010");
    CHECK_NOTHROW(load_checkpoint(*newest_checkpoint(run.path())));
}

TEST_CASE("a damaged checkpoint is refused") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 10);
    const fs::path folder = *newest_checkpoint(run.path());
    const std::string state = read_file(folder / "state.json");
    write_file(folder / "state.json", state.substr(0, state.size() / 2));
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("state.json is not valid JSON"));
    write_file(folder / "state.json", state);
    CHECK_NOTHROW(load_checkpoint(folder));
    const std::string model = read_file(folder / "model.safetensors");
    write_file(folder / "model.safetensors", model.substr(0, model.size() - 3));
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("model.safetensors"));
}

TEST_CASE("tensors must agree both ways, nothing is written otherwise") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 10);
    const Checkpoint c = load_checkpoint(*newest_checkpoint(run.path()));
    std::array<float, 6> w{};
    std::array<double, 6> d{};
    const auto said = [&](const std::vector<TensorTarget>& targets, const std::string& part) {
        const std::string text = refusal(c.model, targets);
        return text.find(part) != std::string::npos &&
               text.find("model.safetensors") != std::string::npos &&
               text.find((run / "config.toml").string()) != std::string::npos;
    };
    CHECK(said({{"w", "F32", {3, 2}, w.data()}}, "tensor w has the shape (2, 3), (3, 2)"));
    CHECK(said({{"w", "F64", {2, 3}, d.data()}}, "tensor w is F32, F64"));
    CHECK(
        said({{"w", "F32", {2, 3}, w.data()}, {"x", "F32", {1}, d.data()}}, "tensor x is missing"));
    CHECK(said({}, "tensor w has no place"));
    CHECK(w == std::array<float, 6>{});
    CHECK(refusal(c.model, {{"w", "F32", {2, 3}, w.data()}}) == "");
    CHECK(w == toy.weight);
}
