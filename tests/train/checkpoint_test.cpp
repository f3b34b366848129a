#include "train/checkpoint.h"

#include "catch.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

using namespace plumb;
namespace fs = std::filesystem;

namespace {

struct Toy {
    std::array<float, 6> weight{0.1f, -0.0f, 3, 4, 5, 6};
    std::array<double, 2> moment{1e-300, 0.1};

    std::vector<TensorRef> model() const { return {{"w", "F32", {2, 3}, weight.data()}}; }
    std::vector<TensorRef> optimizer() const { return {{"m", "F64", {2}, moment.data()}}; }
    void save(const fs::path& run, Index step, Index keep = 2) const {
        save_checkpoint(run, step, model(), optimizer(), state(step), keep);
    }
    void save_best(const fs::path& run, Index step) const {
        save_best_checkpoint(run, step, model(), state(step));
    }
    static nlohmann::json state(Index step) {
        return {{"schema", 2}, {"step", step}, {"best", 0.1 + 0.2}};
    }
};

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> out;
    for (const auto& e : fs::directory_iterator(folder)) out.push_back(e.path().filename());
    std::sort(out.begin(), out.end());
    return out;
}

std::string refusal(const SafetensorsFile& file, const std::vector<TensorTarget>& targets,
                    const std::function<bool(const std::string&)>& optional = {}) {
    try {
        restore_tensors(file, targets, optional);
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
    CHECK_THROWS_WITH(load_checkpoint(folder / "step_00000020"),
                      contains_text("not a whole checkpoint"));
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
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("state.json is damaged"));
    write_file(folder / "state.json", state);
    CHECK_NOTHROW(load_checkpoint(folder));
    for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
        const std::string whole = read_file(folder / name);
        write_file(folder / name, whole.substr(0, whole.size() - 3));
        CHECK_THROWS_WITH(load_checkpoint(folder), contains_text(std::string(name) + " is dam"));
        // Any bit of any byte, and a block of zeros.
        for (const std::size_t at : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
            std::string bad = whole;
            bad[at] = static_cast<char>(bad[at] ^ 1);
            write_file(folder / name, bad);
            CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("SHA-256"));
        }
        write_file(folder / name, whole.substr(0, 8) + std::string(whole.size() - 8, '\0'));
        CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("SHA-256"));
        write_file(folder / name, whole);
    }
    CHECK_NOTHROW(load_checkpoint(folder));
    const std::string done = read_file(folder / "DONE");
    write_file(folder / "DONE", done.substr(0, done.size() / 2));
    CHECK_THROWS_AS(load_checkpoint(folder), IoError);
    // Schema 1 promised nothing; DONE was empty.
    write_file(folder / "DONE", "");
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("has lost its content"));
    auto old = nlohmann::json::parse(state);
    old.erase("schema");
    write_file(folder / "state.json", old.dump());
    CHECK_NOTHROW(load_checkpoint(folder));
    write_file(folder / "state.json", state.substr(0, state.size() / 2));
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("state.json: not valid JSON"));
    write_file(folder / "state.json", std::string(100'000, '[') + std::string(100'000, ']'));
    CHECK_THROWS_WITH(load_checkpoint(folder),
                      contains_text("state.json") && contains_text("deep"));
    write_file(folder / "state.json", "null");
    CHECK_THROWS_WITH(load_checkpoint(folder), contains_text("state.json: not a JSON object"));
}

TEST_CASE("DONE is what sha256sum reads") {
    TempFolder run;
    Toy().save(run.path(), 10);
    const std::string check = fmt::format("cd '{}' && sha256sum -c DONE > /dev/null 2>&1",
                                          (run / "checkpoints/step_00000010").string());
    CHECK(std::system(check.c_str()) == 0);
}

TEST_CASE("a checkpoint is found by what is typed") {
    TempFolder temp;
    const fs::path run = temp / "run";
    CHECK_THROWS_WITH(find_checkpoint({run, ""}), contains_text("no such folder"));
    fs::create_directory(run);
    CHECK_THROWS_WITH(find_checkpoint({run, ""}), contains_text("is not a run"));
    write_file(run / "config.toml", "");
    CHECK_THROWS_WITH(find_checkpoint({run, ""}), contains_text("no checkpoint yet"));
    const Toy toy;
    for (const Index step : {5, 10}) toy.save(run, step);
    CHECK_THROWS_WITH(find_checkpoint({run, "best"}), contains_text("it has @10, @5"));
    toy.save_best(run, 5);
    const auto name_of = [&](const std::string& typed) {
        return find_checkpoint(parse_checkpoint_name(run.string() + typed)).filename().string();
    };
    CHECK(name_of("") == "step_00000010");
    CHECK(name_of("@5") == "step_00000005");
    CHECK(name_of("@005") == "step_00000005");
    CHECK(name_of("@best") == "best");
    CHECK_THROWS_WITH(name_of("@7"), contains_text("it has @10, @5, @best"));
    for (const char* typed : {"@", "@-1", "@last", "@5x"})
        CHECK_THROWS_AS(name_of(typed), UsageError);
    CHECK_THROWS_AS(parse_checkpoint_name("@5"), UsageError);
    fs::rename(run, temp / "run@5");
    CHECK(parse_checkpoint_name((temp / "run@5").string()).which == "");
}

TEST_CASE("the best weights replace the ones before, also after a kill between two renames") {
    TempFolder run;
    Toy toy;
    toy.save_best(run.path(), 5);
    toy.weight[0] = 42;
    toy.save_best(run.path(), 10);
    const ModelCheckpoint best = load_model({run.path(), "best"});
    CHECK(best.model.values<float>("w")[0] == 42);
    CHECK(best.step() == 10);
    const fs::path folder = run / "checkpoints";
    CHECK(names_in(folder) == std::vector<std::string>{"best"});
    CHECK(names_in(folder / "best") ==
          std::vector<std::string>{"DONE", "model.safetensors", "state.json"});
    fs::copy(folder / "best", folder / ".tmp_best.node.7");
    fs::rename(folder / "best", folder / ".tmp_old_best.node.7");
    toy.save(run.path(), 10);
    CHECK(names_in(folder) == std::vector<std::string>{"best", "step_00000010"});
}

TEST_CASE("a save removes only what Plumb itself names so") {
    TempFolder run;
    const Toy toy;
    toy.save(run.path(), 10, 1);
    const fs::path folder = run / "checkpoints";
    for (const char* name : {".tmp_thesis", ".tmp_step_00000005.node.7", ".tmp_step_5.old.copy"}) {
        fs::create_directory(folder / name);
        write_file(folder / name / "chapter1", "mine");
    }
    write_file(folder / ".tmp_step_00000005.node.7" / "model.safetensors", "half");
    write_file(folder / "step_00000010/notes.txt", "mine");
    fs::create_directory(run / "elsewhere");
    write_file(run / "elsewhere/DONE", "mine");
    fs::create_directory_symlink(run / "elsewhere", folder / ".tmp_step_00000006.node.7");
    toy.save(run.path(), 20, 1);
    CHECK(newest_checkpoint(run.path())->filename() == "step_00000020");
    CHECK(whole_checkpoints(run.path()).size() == 1);
    for (const char* name : {".tmp_thesis", ".tmp_step_00000005.node.7", ".tmp_step_5.old.copy"})
        CHECK(names_in(folder / name) == std::vector<std::string>{"chapter1"});
    CHECK(names_in(folder / "step_00000010") == std::vector<std::string>{"notes.txt"});
    CHECK(read_file(run / "elsewhere/DONE") == "mine");
    drop_checkpoints_after(run.path(), 10);
    CHECK_FALSE(newest_checkpoint(run.path()));
    for (const Index step : {10, 11}) {
        toy.save_best(run.path(), step);
        drop_checkpoints_after(run.path(), 10);
        CHECK(fs::exists(folder / "best") == (step == 10));
    }
}

TEST_CASE("a reader takes the next checkpoint when one vanishes") {
    TempFolder run;
    const Toy toy;
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (Index step = 1; !stop.load(); ++step) toy.save(run.path(), step, 1);
    });
    while (!newest_checkpoint(run.path())) std::this_thread::yield();
    Index last = 0;
    std::string error;
    const auto start = Clock::now();
    while (last < 30 && error.empty()) try {
            if (seconds_since(start) > 60) break;
            const Index step = load_model({run.path(), ""}).step();
            if (step < last) error = "an older one";
            last = step;
        } catch (const std::exception& e) {
            error = e.what();
        }
    stop = true;
    writer.join();
    CHECK(error == "");
    CHECK(last >= 30);
}

TEST_CASE("weights and state are of one checkpoint, also while the best is replaced") {
    TempFolder run;
    std::atomic<bool> stop{false};
    std::atomic<Index> saved{0};
    std::thread writer([&] {
        Toy toy;
        for (Index step = 1; !stop.load(); ++step) {
            toy.weight[0] = static_cast<float>(step);
            toy.save_best(run.path(), step);
            saved = step;
        }
    });
    while (saved.load() == 0) std::this_thread::yield();
    const auto start = Clock::now();
    bool same = true;
    std::string error;
    while (same && error.empty() && saved.load() < 400 && seconds_since(start) < 20) try {
            const ModelCheckpoint best = load_model({run.path(), "best"});
            same = best.model.values<float>("w")[0] == static_cast<float>(best.step());
        } catch (const std::exception& e) {
            error = e.what();
        }
    stop = true;
    writer.join();
    CHECK(error == "");
    CHECK(same);
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

    // What is optional may be on one side alone, but not of another shape.
    const auto only = [](const std::string& name) {
        return [name](const std::string& other) { return other == name; };
    };
    d = {7, 7};
    CHECK(refusal(c.model, {{"x", "F64", {2}, d.data()}}, only("w")) != "");
    CHECK(refusal(c.model, {{"w", "F32", {2, 3}, w.data()}, {"x", "F64", {2}, d.data()}},
                  only("x")) == "");
    CHECK(d[0] == 7);
    CHECK(refusal(c.model, {}, only("w")) == "");
    CHECK(refusal(c.model, {{"w", "F32", {3, 2}, w.data()}}, only("w")) != "");
}
