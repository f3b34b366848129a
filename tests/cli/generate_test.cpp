#include "catch.h"
#include "config/config.h"
#include "model/transformer.h"
#include "support/check_message.h"
#include "train/checkpoint.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

// What it printed, without the times.
std::string text_of(const Outcome& o) {
    CHECK_THAT(o.out, contains_text("tokens_per_second: "));
    return o.out.substr(0, o.out.find("prompt_tokens: "));
}

// The likeliest continuation by whole forwards over what the help says the model sees.
std::string likeliest(const fs::path& run, std::vector<std::int32_t> text, int n_tokens) {
    const Config config = load_config(run / "config.toml", {}).config;
    Transformer<float> model({config.model, config.mixer, 32, 1, 1});
    model.allocate(1);
    std::vector<TensorTarget> targets;
    for (const ParamSpec& spec : model.params().specs())
        targets.push_back(
            TensorTarget::of(spec.name, model.params().value(model.params().find(spec.name))));
    restore_tensors(load_checkpoint(newest_checkpoint(run).value()).model, targets);
    const auto context = static_cast<std::size_t>(config.model.context);
    std::fill_n(model.tokens().data, context, 0);
    std::fill_n(model.targets().data, context, -1);
    std::string out;
    std::size_t seen = text.size();
    for (int i = 0; i < n_tokens; ++i, ++seen) {
        if (seen > context) seen = context / 2 + 1;
        std::copy(text.end() - static_cast<std::ptrdiff_t>(seen), text.end(), model.tokens().data);
        model.forward({});
        const float* logits = model.logits().row(static_cast<Index>(seen) - 1);
        text.push_back(static_cast<std::int32_t>(std::max_element(logits, logits + 32) - logits));
        out += fmt::format(" {}", text.back());
    }
    return out;
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
    CHECK(text_of(second) == text_of(first));
    std::vector<std::string> other = args;
    other.insert(other.end(), {"--seed", "2"});
    CHECK(text_of(run_plumb(other)) != text_of(first));

    for (const auto& [option, value] : {std::pair{"--temperature", "30"}, {"--top-k", "2"}}) {
        std::vector<std::string> changed = args;
        changed.insert(changed.end(), {option, value});
        INFO(option);
        CHECK(text_of(run_plumb(changed)) != text_of(first));
    }

    check_answer({"generate", run, "--prompt", "1 99"}, 2, "'99' is not a token");
    check_answer({"generate", run, "--prompt", ""}, 2, "--prompt is empty");
    check_answer({"generate", run, "--prompt", "1", "--tokens", "0"}, 2, "--tokens");
    check_answer({"generate", run, "--prompt", "1", "--temperature", "-1"}, 2, "--temperature");
    check_answer({"generate", run, "--prompt", "1", "--samples", "0"}, 2, "--samples");
    check_answer({"generate", run, "--prompt", "1", "--top-k", "-1"}, 2, "--top-k");
    CHECK(content(run) == before);

    spill(checkpoint_of(run, 20) / "model.safetensors", "short");
    check_answer({"generate", run, "--prompt", "1"}, 4, "model.safetensors");
    fs::remove_all(fs::path(run) / "checkpoints");
    check_answer({"generate", run, "--prompt", "1"}, 4, "no checkpoint yet");
}

TEST_CASE("generate at temperature 0 is the model's likeliest text", "[cli]") {
    const TempFolder temp;
    for (const char* mixer : {"standard", "attnres_block"}) {
        const std::string run = temp / mixer;
        REQUIRE(
            run_plumb(tiny_run(run, {fmt::format("mixer={}", mixer), "train.steps=100"})).code ==
            0);
        const std::string want = "3 1 4 |" + likeliest(run, {3, 1, 4}, 50) + "\n";
        CHECK(text_of(run_plumb({"generate", run, "--prompt", "3 1 4", "--tokens", "50",
                                 "--temperature", "0"})) == want);
        CHECK(text_of(run_plumb({"generate", run, "--prompt", "3 1 4", "--tokens", "50", "--top-k",
                                 "1"})) == want);
    }
}

TEST_CASE("generate: sample i is the same text whatever the number of samples", "[cli]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"mixer=attnres_block"})).code == 0);
    const auto texts = [&](int samples) {
        return text_of(run_plumb({"generate", run, "--prompt", "5 6", "--tokens", "40", "--samples",
                                  std::to_string(samples)}));
    };
    const std::string one = texts(1), two = texts(2), five = texts(5);
    CHECK(two.starts_with(one + "---\n5 6 | "));
    CHECK(five.starts_with(two + "---\n5 6 | "));
    CHECK(two != one + "---\n" + one);
}

TEST_CASE("generate says what is wrong with a folder", "[cli]") {
    const TempFolder temp;
    check_answer({"generate", temp / "none"}, 4, "does not exist");
    check_answer({"generate", temp.path()}, 4, "is not a run");
    check_answer({"generate"}, 2, "RUN");
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
                       "model.context=16", "train.steps=2", "train.eval_sequences=2", "--threads",
                       "1", "--out", run})
                .code == 0);
    check_answer({"generate", run, "--prompt", "abz"}, 2, "z");
    check_answer({"generate", run, "--prompt", "ab", "--tokens", "5"}, 0, "ab");

    // A copy of the run needs neither the data nor their path.
    const std::string before = text_of(run_plumb({"generate", run, "--prompt", "ab"}));
    const std::string copy = temp / "copy", meta = copy + "/data/meta.json";
    fs::rename(run, copy);
    fs::remove_all(data);
    CHECK(text_of(run_plumb({"generate", copy, "--prompt", "ab"})) == before);
    check_answer({"generate", copy, "--prompt", "abz"}, 2, "z");
    for (const std::string& broken : {std::string("{"), slurp(meta).substr(0, 40),
                                      std::string(R"({"tokenizer": "none", "vocab": -1})")}) {
        spill(meta, broken);
        check_answer({"generate", copy, "--prompt", "ab"}, 4, meta);
    }
    // Runs of schema 1 have no data of their own; then the data are looked for.
    fs::remove(meta);
    check_answer({"generate", copy, "--prompt", "ab"}, 4, data);
}

TEST_CASE("generate takes any checkpoint, and a prompt from a file", "[cli]") {
    const TempFolder temp;
    const std::string run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"train.keep_checkpoints=4", "train.lr=0.02"})).code == 0);
    const auto text = [&](const std::string& which, std::vector<std::string> prompt) {
        std::vector<std::string> args{"generate", run + which, "--tokens", "30"};
        args.insert(args.end(), prompt.begin(), prompt.end());
        return text_of(run_plumb(args));
    };
    const std::string newest = text("", {"--prompt", "1 2"});
    CHECK(text("@20", {"--prompt", "1 2"}) == newest);
    CHECK(text("@5", {"--prompt", "1 2"}) != newest);
    CHECK_THAT(text("@best", {"--prompt", "1 2"}), contains_text("1 2 | "));
    spill(temp / "prompt", "1 2");
    CHECK(text("", {"--prompt-file", temp / "prompt"}) == newest);
    check_answer({"generate", run, "--prompt-file", temp / "none"}, 4, "none");
    check_answer({"generate", run, "--prompt-file", "-"}, 2, "--prompt-file is empty");  // no stdin
    check_answer({"generate", run, "--prompt", "1", "--prompt-file", "-"}, 2, "--prompt");
    // What is piped is the prompt if it is asked for, and else not silently another one.
    const Launch piped{.stdin_from = temp / "prompt"};
    CHECK(text_of(run_plumb({"generate", run, "--tokens", "30", "--prompt-file", "-"}, piped)) ==
          newest);
    CHECK_THAT(run_plumb({"generate", run}, piped).out,
               contains_text("standard input is not read; with --prompt-file -"));
    for (const Outcome& quiet :
         {run_plumb({"generate", run, "--prompt", "1"}, piped), run_plumb({"generate", run})})
        CHECK_THAT(quiet.out, !contains_text("standard input"));
    check_answer({"generate", run, "--prompt", "1", "--threads", "1"}, 0, "1 | ");
    check_answer({"generate", run, "--prompt", "1", "--threads", "0"}, 2, "--threads");
    check_answer({"generate", run + "@7", "--prompt", "1"}, 4, "@");
}

TEST_CASE("generate refuses data of another alphabet in place of the run's", "[cli]") {
    const TempFolder temp;
    const auto prepare = [&](const std::string& line) {
        std::string text;
        for (int i = 0; i < 60; ++i) text += line;
        spill(temp / "text.txt", text);
        return run_plumb({"data", "prepare", temp / "text.txt", "--out", temp / "data",
                          "--tokenizer", "char", "--force"});
    };
    const std::string run = temp / "run";
    REQUIRE(prepare("abc cab bca acb\n").code == 0);
    REQUIRE(run_plumb({"train", "data.path=" + (temp / "data").string(), "model.layers=1",
                       "model.width=16", "model.context=16", "train.steps=2", "--threads", "1",
                       "--out", run})
                .code == 0);
    REQUIRE(prepare("xyz zxy yzx xzy\n").code == 0);
    check_answer({"generate", run, "--prompt", "ab", "--tokens", "3"}, 0,
                 "ab");                      // its own meta.json
    fs::remove_all(fs::path(run) / "data");  // as a run of schema 1
    check_answer({"generate", run, "--prompt", "xy"}, 2, "is not the data");
    check_answer({"eval", run, "--data", temp / "data"}, 2, "is not the data");
}
