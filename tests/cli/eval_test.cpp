// `plumb eval` from the command line. What interventions do is tested in model/interventions_test.
#include "catch.h"
#include "support/check_message.h"

#include <cmath>
#include <cstring>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

nlohmann::json eval(std::vector<std::string> args) {
    args.insert(args.begin(), "eval");
    args.insert(args.end(), {"--json", "--threads", "1"});
    return json_of(args);
}

nlohmann::json summary(const fs::path& run) {
    return nlohmann::json::parse(slurp(run / "summary.json"));
}

// Overwrites the last number of the weights by a NaN, in a file that is whole otherwise.
void spoil(const fs::path& checkpoint) {
    const fs::path file = checkpoint / "model.safetensors", done = checkpoint / "DONE";
    std::string bytes = slurp(file), hashes = slurp(done);
    const std::string before = sha256_hex(bytes);
    const float nan = std::nanf("");
    std::memcpy(bytes.data() + bytes.size() - sizeof nan, &nan, sizeof nan);
    spill(file, bytes);
    REQUIRE(hashes.find(before) != hashes.npos);
    spill(done, hashes.replace(hashes.find(before), before.size(), sha256_hex(bytes)));
}

}  // namespace

TEST_CASE("eval scores the split that the run's summary scored", "[cli][eval]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"mixer=attnres_block"})).code == 0);
    const auto before = content(run);
    const auto json = eval({run});
    CHECK(json["schema"] == 1);
    const auto& scored = json["runs"][0];
    CHECK(std::abs(scored["loss"].get<double>() - summary(run)["final_val_loss"].get<double>()) <=
          1e-6);
    CHECK(scored["step"] == 20);
    CHECK(scored["tokens"] == 1024 * 16);
    CHECK(!scored.contains("bits_per_byte"));
    CHECK(eval({run + "@15"})["runs"][0]["loss"] != scored["loss"]);
    CHECK(eval({run, "--sequences", "3"})["runs"][0]["tokens"] == 3 * 16);  // of batches of 2
    CHECK(content(run) == before);
    check_answer({"eval", run}, 0, "attnres_block");
}

TEST_CASE("a finished run scores the test split too, where its data have one", "[cli][eval]") {
    const TempFolder temp;
    std::string text;
    for (int i = 0; i < 400; ++i) text += fmt::format("{} and {} are {}\n", i, i + 1, 2 * i + 1);
    spill(temp / "text.txt", text);
    const std::string data = temp / "data", run = temp / "run";
    REQUIRE(
        run_plumb({"data", "prepare", temp / "text.txt", "--out", data, "--test-fraction", "0.2"})
            .code == 0);
    auto args = tiny_run(run, {"data.path=" + data});
    std::erase(args, "data.task=markov");
    REQUIRE(run_plumb(args).code == 0);
    const auto json = summary(run);
    const auto test = eval({run, "--split", "test"})["runs"][0];
    CHECK(test["tokens"] == json.at("final_test_tokens"));
    CHECK(std::abs(test["loss"].get<double>() - json.at("final_test_loss").get<double>()) <= 1e-6);
    CHECK(json.at("final_test_loss") != json.at("final_val_loss"));
}

TEST_CASE("eval shows what a sublayer, a source and an order are worth", "[cli][eval]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"model.layers=2", "mixer=attnres"})).code == 0);
    const auto drops = eval({run, "--drop", "all", "--sequences", "8"})["runs"][0]["changes"];
    REQUIRE(drops.size() == 4);
    CHECK(drops[3]["name"] == "drop layer.1.mlp");
    const auto one = eval({run, "--drop", "4", "--sequences", "8"})["runs"][0];
    CHECK(one["changes"][0]["loss"] == drops[3]["loss"]);
    CHECK(one["changes"][0]["loss"] ==
          eval({run, "--gain", "4=0", "--sequences", "8"})["runs"][0]["changes"][0]["loss"]);
    CHECK(one["changes"][0]["delta"].get<double>() ==
          one["changes"][0]["loss"].get<double>() - one["loss"].get<double>());
    CHECK(one["changes"][0]["loss"] != one["loss"]);
    const auto masks = eval({run, "--mask", "all", "--sequences", "8"})["runs"][0]["changes"];
    CHECK(masks.size() == 5);
    CHECK(masks[0]["name"] == "mask embed");
    const auto swaps = eval({run, "--swap", "all", "--sequences", "8"})["runs"][0]["changes"];
    REQUIRE(swaps.size() == 1);
    CHECK(swaps[0]["name"] == "swap layer.0,layer.1");
    const auto control =
        eval({run, "--mask", "2", "--controls", "5", "--sequences", "8"})["runs"][0]["changes"][0];
    CHECK(control["control_deltas"].size() == 5);
    check_answer({"eval", run, "--mask", "2", "--controls", "5", "--sequences", "8"}, 0, "of 5");
    const auto several = eval({run, "--drop", "1", "--mask", "output:0", "--gain", "2=0.5",
                               "--swap", "3,4", "--sequences", "8"})["runs"][0]["changes"];
    REQUIRE(several.size() == 1);
    CHECK(several[0]["name"] == "swap 3,4; gain 2=0.5; drop 1; mask output:0");
    // Any of them several times is all of them, as is a list.
    const auto loss = [&](std::vector<std::string> args) {
        args.insert(args.begin(), {run, "--sequences", "8"});
        return eval(args)["runs"][0]["changes"][0]["loss"];
    };
    CHECK(loss({"--drop", "1", "--drop", "3"}) == loss({"--drop", "1,3"}));
    CHECK(loss({"--mask", "1", "--mask", "output:2"}) == loss({"--mask", "1,output:2"}));
    CHECK(loss({"--gain", "1,2=0.5", "--gain", "4=2"}) == loss({"--gain", "1,2=0.5,4=2"}));
    CHECK(loss({"--gain", "1,2=0.5,4=2"}) != loss({"--gain", "1,2=0.5"}));
    check_answer({"eval", run, "--gain", "1=0.5,2"}, 2, "--gain 5=0.5");
}

TEST_CASE("eval averages over seeds, and over nothing else", "[cli][eval]") {
    const TempFolder temp;
    std::vector<std::string> runs;
    for (const char* seed : {"1", "2", "3"}) {
        runs.push_back(temp / (std::string("s") + seed));
        REQUIRE(run_plumb(tiny_run(runs.back(), {std::string("train.seed=") + seed})).code == 0);
    }
    runs.push_back(temp / "other");
    REQUIRE(run_plumb(tiny_run(runs.back(), {"train.lr=0.002"})).code == 0);
    std::vector<std::string> args = runs;
    args.insert(args.end(), {"--drop", "1"});
    const auto json = eval(args);
    REQUIRE(json["groups"].size() == 2);
    const auto& seeds = json["groups"][0];
    CHECK(seeds["n"] == 3);
    CHECK(seeds["label"] == "standard train.lr=0.001");
    CHECK(json["groups"][1]["label"] == "standard train.lr=0.002");
    CHECK(json["groups"][1]["loss"]["half_width"].is_null());
    double mean = 0, squares = 0;
    for (int i = 0; i < 3; ++i) mean += json["runs"][i]["loss"].get<double>() / 3;
    for (int i = 0; i < 3; ++i)
        squares += std::pow(json["runs"][i]["loss"].get<double>() - mean, 2);
    CHECK(std::abs(seeds["loss"]["mean"].get<double>() - mean) <= 1e-12);
    CHECK(std::abs(seeds["loss"]["half_width"].get<double>() / (4.30265 * std::sqrt(squares / 6)) -
                   1) <= 1e-5);
    CHECK(seeds["deltas"][0]["name"] == "drop 1");
    CHECK(seeds["deltas"][0]["half_width"].is_number());
}

TEST_CASE("eval of other text, and of text that means something else", "[cli][eval]") {
    const TempFolder temp;
    const auto prepare = [&](const std::string& name, const std::string& line) {
        std::string text;
        for (int i = 0; i < 60; ++i) text += line;
        spill(temp / (name + ".txt"), text);
        REQUIRE(run_plumb({"data", "prepare", temp / (name + ".txt"), "--out", temp / name,
                           "--tokenizer", "char"})
                    .code == 0);
        return std::string(temp / name);
    };
    const std::string data = prepare("data", "abc cab bca acb\n"), run = temp / "run";
    const std::string same = prepare("same", "cab abc acb bca\n"),
                      other = prepare("other", "xyz zxy yzx xzy\n");
    REQUIRE(run_plumb({"train", "data.path=" + data, "model.layers=1", "model.width=16",
                       "model.context=16", "train.steps=2", "--threads", "1", "--out", run})
                .code == 0);
    const auto own = eval({run})["runs"][0], there = eval({run, "--data", same})["runs"][0];
    CHECK(own["tokens"] == 95);  // 96 of 960 characters, the first not scored
    CHECK(std::abs(own["bits_per_byte"].get<double>() / own["loss"].get<double>() * std::log(2) -
                   1) <= 1e-12);
    CHECK(there["loss"] != own["loss"]);
    check_answer({"eval", run, "--data", other}, 2, "another tokenizer");
    check_answer({"generate", run, "--prompt", "ab", "--tokens", "3"}, 0, "ab");
    // What the run was trained on is another text now.
    fs::remove_all(data);
    fs::copy(same, data);
    check_answer({"eval", run}, 2, "is not the data");
    fs::remove_all(data);
    check_answer({"eval", run}, 4, data);
}

TEST_CASE("eval refuses tokens that the run has no place for", "[cli][eval]") {
    const TempFolder temp;
    const auto write = [&](const std::string& name, int vocab) {  // uint16, no tokenizer
        std::string tokens;
        for (int i = 0; i < 200; ++i) tokens += {static_cast<char>(i % vocab), '\0'};
        fs::create_directory(temp / name);
        for (const char* split : {"train.bin", "val.bin"}) spill(temp / name / split, tokens);
        return std::string(temp / name);
    };
    const std::string run = temp / "run", data = write("data", 10), fewer = write("fewer", 9),
                      more = write("more", 11);
    REQUIRE(run_plumb({"train", "data.path=" + data, "model.layers=1", "model.width=16",
                       "model.heads=2", "model.context=16", "train.steps=2", "--threads", "1",
                       "--out", run})
                .code == 0);
    CHECK(eval({run})["runs"][0]["tokens"] == 199);
    CHECK(eval({run, "--data", fewer})["runs"][0]["tokens"] == 199);
    check_answer({"eval", run, "--data", more}, 2, "with a vocabulary of 10");
}

TEST_CASE("eval names what is missing, damaged or not meant", "[cli][eval]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    check_answer({"eval", temp / "none"}, 4, "does not exist");
    check_answer({"eval"}, 2, "RUN");
    check_answer({"eval", run + "@7"}, 4, "@");
    check_answer({"eval", run + "@x"}, 2, "best");
    check_answer({"eval", run, "--drop", "3"}, 2, "--drop: '3' is not one of 0 to 2");
    check_answer({"eval", run, "--drop", "all", "--mask", "1"}, 2, "one at a time");
    check_answer({"eval", run, "--controls", "2"}, 2, "give --drop or --mask");
    check_answer({"eval", run, "--gain", "1"}, 2, "--gain 5=0.5");
    check_answer({"eval", run, "--swap", "1"}, 2, "two sublayers");
    spoil(checkpoint_of(run, 20));
    check_answer({"eval", run}, 4, "nan");
    check_answer({"eval", run + "@15"}, 0, "standard");
    check_answer({"generate", run, "--prompt", "1"}, 4, "nan");
    check_answer({"generate", run + "@15", "--prompt", "1"}, 0, "1 | ");
    check_answer({"export", run, "--to", "npz", "-o", temp / "out"}, 4, "nan");
    CHECK(!fs::exists(temp / "out"));
    spill(checkpoint_of(run, 20) / "model.safetensors", "short");
    check_answer({"eval", run}, 4, "model.safetensors");
}
