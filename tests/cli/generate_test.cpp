#include "catch.h"
#include "support/run_program.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

void check_answer(const std::vector<std::string>& args, int code, const std::string& mentions) {
    const Outcome o = run_plumb(args);
    INFO(o.out);
    CHECK(o.code == code);
    CHECK_THAT(o.out, contains_text(mentions));
}

}  // namespace

TEST_CASE("generate continues a prompt of numbers", "[cli]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    const auto before = content(run);
    const std::vector<std::string> args{"generate", run, "--prompt", "1 2", "--tokens", "30"};
    const Outcome first = run_plumb(args), second = run_plumb(args);
    INFO(first.out);
    CHECK(first.code == 0);
    CHECK(first.out.starts_with("1 2 | "));
    std::istringstream words(first.out.substr(6));
    int token = -1, count = 0;
    for (; words >> token; ++count) CHECK((token >= 0 && token < 32));
    CHECK(count == 30);  // beyond the context of 16
    CHECK(second.out == first.out);
    std::vector<std::string> other = args;
    other.insert(other.end(), {"--seed", "2"});
    CHECK(run_plumb(other).out != first.out);

    check_answer({"generate", run, "--prompt", "1 99"}, 2, "'99' is not a token");
    check_answer({"generate", run, "--prompt", ""}, 2, "--prompt is empty");
    check_answer({"generate", run, "--prompt", "1", "--tokens", "0"}, 2, "--tokens");
    check_answer({"generate", run, "--prompt", "1", "--temperature", "-1"}, 2, "--temperature");
    CHECK(content(run) == before);

    spill(checkpoint_of(run, 20) / "model.safetensors", "short");
    check_answer({"generate", run, "--prompt", "1"}, 4, "model.safetensors");
    fs::remove_all(fs::path(run) / "checkpoints");
    check_answer({"generate", run, "--prompt", "1"}, 4, "no checkpoint yet");
}

TEST_CASE("generate says what is wrong with a folder", "[cli]") {
    const TempFolder temp;
    check_answer({"generate", temp / "none"}, 4, "does not exist");
    check_answer({"generate", temp.path()}, 4, "is not a run");
    check_answer({"generate"}, 2, "run");
}

TEST_CASE("generate names a character that the tokenizer does not know", "[cli]") {
    const TempFolder temp;
    const std::string data = temp / "data", run = temp / "run";
    std::string text;
    for (int i = 0; i < 60; ++i) text += "abc cab bca acb\n";
    spill(temp / "text.txt", text);
    REQUIRE(run_plumb({"data", "prepare", (temp / "text.txt").string(), "--out", data,
                       "--tokenizer", "char"})
                .code == 0);
    REQUIRE(run_plumb({"train", "data.path=" + data, "model.layers=1", "model.width=16",
                       "model.context=16", "train.steps=2", "train.eval_batches=1", "--threads",
                       "1", "--out", run})
                .code == 0);
    check_answer({"generate", run, "--prompt", "abz"}, 2, "z");
    check_answer({"generate", run, "--prompt", "ab", "--tokens", "5"}, 0, "ab");
}
