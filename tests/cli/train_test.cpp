// What the program says, answers and leaves alone when it is given something wrong.
#include "catch.h"
#include "support/check_message.h"

#include <set>

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

struct Case {
    std::vector<std::string> more;  // beside a tiny run
    int code;
    std::vector<std::string> mentions;  // what, where, what to type
};

std::vector<std::string> commands_on_front_page() {
    std::istringstream help(run_plumb({"--help"}).out);
    std::vector<std::string> names;
    std::string line;
    while (std::getline(help, line) && line != "Subcommands:") {
    }
    while (std::getline(help, line) && line.starts_with("  ")) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        if (line[2] != ' ') names.push_back(name);
    }
    return names;
}

// Gives a tiny run with these settings to a folder that must not appear.
void check_refused(const Case& c) {
    const TempFolder temp;
    INFO(fmt::format("{}", fmt::join(c.more, " ")));
    check_message(run_plumb(tiny_run(temp / "run", c.more)), c.code, c.mentions);
    CHECK_FALSE(fs::exists(temp / "run"));
}

}  // namespace

TEST_CASE("the front door answers help, an unknown command and no command", "[cli]") {
    check_message(run_plumb({}), 0, {"Usage", "train", "doctor"});
    check_message(run_plumb({"--help"}), 0, {"Usage", "train", "doctor"});
    check_message(run_plumb({"--version"}), 0, {"plumb 0."});
    check_message(run_plumb({"tarin"}), kUsage, {"'tarin'", "'train'", "plumb --help"});
    check_message(run_plumb({"--nonsense"}), kUsage, {"--help"});
    check_message(run_plumb({"train", "--nonsense"}), kUsage, {"--nonsense", "--help"});
}

TEST_CASE("every subcommand's help shows three examples", "[cli]") {
    const std::vector<std::string> names = commands_on_front_page();
    REQUIRE(names.size() >= 8);
    for (const std::string& name : names) {
        const Outcome o = run_plumb({name, "--help"});
        check_message(o, 0, {"Examples:"});
        std::set<std::string> examples;
        for (std::size_t at = 0; (at = o.out.find("\n  plumb " + name, at)) != std::string::npos;
             ++at)
            examples.insert(o.out.substr(at, o.out.find('\n', at + 1) - at));
        CHECK(examples.size() >= 3);
    }
}

TEST_CASE("train refuses settings that make no sense and creates nothing", "[cli]") {
    const std::vector<Case> cases{
        {{"modle.layers=3"}, kUsage, {"command line", "'modle.layers'", "'model.layers'"}},
        {{"mixer=attnress"}, kUsage, {"'attnress'", "'attnres'", "plumb list mixers"}},
        {{"model.layers=abc"},
         kUsage,
         {"model.layers", "'abc'", "not an integer", "model.layers=1"}},
        {{"train.lr=fast"}, kUsage, {"train.lr", "'fast'", "not a number"}},
        {{"train.lr=-1"}, kUsage, {"train.lr", "above 0"}},
        {{"train.steps=0"}, kUsage, {"train.steps", "1 to "}},
        {{"model.heads=3"}, kUsage, {"model.heads=3", "model.width=16", "model.head_dim"}},
        {{"model.width=0"}, kUsage, {"model.width=0", "1 to 1048576"}},
        {{"mixer=attnres_block", "mixer.block_size=-1"}, kUsage, {"mixer.block_size", "0 to "}},
        {{"mixer=attnres_block", "mixer.block_size=3"},
         kUsage,
         {"mixer.block_size=3", "2 sublayers"}},
        {{"mixer=attnres_block", "mixer.n_blocks=3"}, kUsage, {"mixer.n_blocks=3", "2 sublayers"}},
        {{"mixer=attnres_block", "mixer.block_size=1", "mixer.n_blocks=2"},
         kUsage,
         {"mixer.block_size", "mixer.n_blocks", "set one of them"}},
        {{"mixer.streams=2"}, kUsage, {"mixer.streams", "hyper", "mixer.name"}},
        {{"data.path=data/austen"}, kUsage, {"data.path", "data.task", "set one of them"}},
        {{"--device", "cuda"}, kUsage, {"--device cuda", "built without CUDA", "--device cpu"}},
        {{"--device", "tpu"}, kUsage, {"--device tpu", "cpu or cuda"}},
        {{"--precision", "fp16"}, kUsage, {"train.precision", "fp16", "bf16"}},
        {{"model.dropout=1"}, kUsage, {"model.dropout=1", "0 to 0.99"}},
        {{"--resume", "perhaps"}, kUsage, {"--resume perhaps", "auto, never or must"}},
        {{"--resume", "must"}, kUsage, {"--resume must", "holds no run", "--out"}},
        {{"--seed", "x"}, kUsage, {"--seed", "x"}},
        {{"-c", "missing.toml"}, kInputOutput, {"cannot read missing.toml", "No such file"}},
    };
    for (const Case& c : cases) check_refused(c);
}

TEST_CASE("what computes on a GPU says in a line that this build cannot", "[cli]") {
    for (const std::vector<std::string>& args : {std::vector<std::string>{"eval", "runs/none"},
                                                 {"generate", "runs/none"},
                                                 {"check", "standard"},
                                                 {"bench"}}) {
        std::vector<std::string> words = args;
        words.insert(words.end(), {"--device", "cuda"});
        check_message(run_plumb(words), kUsage, {"--device cuda", "built without CUDA"});
    }
}

TEST_CASE("train refuses a number of threads that cannot be", "[cli]") {
    for (const char* n : {"0", "-1", "1000000", "many"})
        for (const char* command : {"train", "doctor"})
            check_message(run_plumb({command, "--threads", n}), kUsage, {"--threads"});
}

TEST_CASE("train names what is missing: --out, data, a data folder", "[cli]") {
    check_message(run_plumb({"train", "data.task=markov"}), kUsage,
                  {"--out DIR", "--out runs/first"});
    const TempFolder temp;
    const std::string out = temp / "run";
    check_message(run_plumb({"train", "--out", out}), kUsage, {"data.path=DIR", "data.task=NAME"});
    check_message(run_plumb({"train", "--out", out, "data.path=" + (temp / "none").string()}),
                  kInputOutput, {"none", "no such folder", "plumb data prepare"});
    // A file in place of a folder of tokens: text, or one of the tokens.
    const std::string text = temp / "a b.txt";
    spill(text, "a man in want of a wife");
    check_message(run_plumb({"train", "--out", out, "data.path=" + text}), kInputOutput,
                  {"is a file", "plumb data prepare '" + text + "' --out DIR"});
    spill(temp / "train.bin", ""), spill(temp / "val.bin", "");
    const Outcome bin =
        run_plumb({"train", "--out", out, "data.path=" + (temp / "val.bin").string()});
    check_message(bin, kInputOutput, {"data.path=" + temp.path().string() + "\n"});
    // Nothing to go on with, and nothing to begin with.
    check_message(run_plumb({"train", "--out", out, "--resume", "auto"}), kUsage,
                  {out + ": no such folder", "check its name", "data.path=DIR or data.task=NAME"});
    for (const auto& [typed, meant] : {std::pair{"data=x", "data.path=DIR or data.task=NAME"},
                                       {"train=3", "`plumb list settings train.`"},
                                       {"gate.bias=1", "did you mean 'mixer.gate_bias'?"}})
        check_message(run_plumb({"train", typed, "--out", out}), kUsage, {meant});
    CHECK_FALSE(fs::exists(out));
}

TEST_CASE("a dry run of what cannot be trained prints no page before it says so", "[cli]") {
    const Outcome o = run_plumb(
        {"train", "data.task=markov", "mixer=attnres", "mixer.freeze=quary", "--dry-run"});
    check_message(o, kUsage, {"has no parameters 'quary'; it has query, key_gain"});
    CHECK(o.out.starts_with("plumb: "));
}

TEST_CASE("a text that is missing is an error of input, wherever it is named", "[cli]") {
    const TempFolder temp;
    spill(temp / "text", "a man in want of a wife");
    const std::string text = temp / "text", none = temp / "none", out = temp / "data";
    for (const std::vector<std::string>& sources : std::vector<std::vector<std::string>>{
             {none}, {text, "--val", none}, {text, "--test", none}}) {
        std::vector<std::string> args{"data", "prepare", "--out", out};
        args.insert(args.end(), sources.begin(), sources.end());
        check_message(run_plumb(args), kInputOutput, {none, "neither a corpus"});
    }
}

TEST_CASE("train refuses a corpus that is empty or shorter than the context", "[cli]") {
    const TempFolder temp;
    const std::string data = temp / "data", out = temp / "run";
    spill(temp / "empty.txt", "");
    check_message(run_plumb({"data", "prepare", (temp / "empty.txt").string(), "--out", data}),
                  kUsage, {"empty"});
    spill(temp / "short.txt",
          "It is a truth universally acknowledged, that a single man in "
          "possession of a good fortune, must be in want of a wife.\n");
    REQUIRE(run_plumb({"data", "prepare", (temp / "short.txt").string(), "--out", data}).code == 0);
    check_message(run_plumb({"train", "data.path=" + data, "model.context=4096", "--out", out}),
                  kUsage, {"context", "4096"});
    CHECK_FALSE(fs::exists(out));
}

TEST_CASE("train writes into no folder that holds something else", "[cli]") {
    const TempFolder temp;
    spill(temp / "file", "mine");
    fs::create_directory(temp / "folder");
    spill(temp.path() / "folder" / "notes.txt", "mine");
    const auto before = content(temp.path());
    check_message(run_plumb(tiny_run(temp / "file")), kUsage, {"is a file", "another folder"});
    check_message(run_plumb(tiny_run(temp / "folder", {"--resume", "auto"})), kUsage,
                  {"not a run", "new or empty folder"});
    // Hidden, and named a little like what a kill leaves.
    for (const char* name : {".tmp-thesis", ".STATUS.tmp123", ".STATUS.tmp.node.1"}) {
        const fs::path folder = temp / "hidden" / name;
        fs::create_directories(folder);
        spill(folder / "chapter1", "mine");
        check_message(run_plumb(tiny_run(temp / "hidden")), kUsage, {"not a run"});
        CHECK(slurp(folder / "chapter1") == "mine");
        fs::remove_all(temp / "hidden");
    }
    check_message(run_plumb(tiny_run(temp.path() / "file" / "below")), kInputOutput,
                  {"Not a directory"});
    check_message(run_plumb(tiny_run(temp / std::string(300, 'a'))), kInputOutput, {"too long"});
    CHECK(content(temp.path()) == before);
}

TEST_CASE("train leaves an existing run alone", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    const auto before = content(run);
    check_message(run_plumb(tiny_run(run)), kUsage, {"holds a run", "done", "--resume auto"});
    check_message(run_plumb(tiny_run(run, {"--resume", "auto", "train.lr=0.002"})), kUsage,
                  {"another config", "train.lr (0.001 there, 0.002 here)", "another folder"});
    check_message(run_plumb(tiny_run(run, {"--resume", "must", "mixer=mhc"})), kUsage,
                  {"another config", "\"standard\" there, \"mhc\" here"});
    check_message(run_plumb(tiny_run(run, {"--resume", "auto"})), 0,
                  {"is done already", "status: done", "final_val_loss: "});
    check_message(run_plumb(tiny_run(run, {"--resume", "must"})), 0, {"is done already"});
    CHECK(content(run) == before);

    fs::remove_all(run / "checkpoints");
    spill(run / "STATUS", "running\n");
    check_message(run_plumb(tiny_run(run, {"--resume", "must"})), kUsage,
                  {"no finished checkpoint", "--resume auto"});
}

TEST_CASE("train explains a checkpoint it cannot use and keeps it", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run", other = temp / "other", last = checkpoint_of(run, 20);
    REQUIRE(run_plumb(tiny_run(run)).code == 0);
    REQUIRE(run_plumb(tiny_run(other, {"mixer=mhc"})).code == 0);
    spill(run / "STATUS", "running\n");
    const std::string model = slurp(last / "model.safetensors"),
                      optimizer = slurp(last / "optimizer.safetensors"),
                      state = slurp(last / "state.json");
    const auto check = [&](const std::string& file, const std::string& text,
                           const std::vector<std::string>& mentions) {
        spill(last / file, text);
        const auto before = content(run);
        std::vector<std::string> all{(last / file).string(), "--resume-from 15 goes on"};
        all.insert(all.end(), mentions.begin(), mentions.end());
        check_message(run_plumb(tiny_run(run, {"--resume", "auto"})), kInputOutput, all);
        CHECK(content(run) == before);
        spill(last / "model.safetensors", model);
        spill(last / "optimizer.safetensors", optimizer);
        spill(last / "state.json", state);
    };
    for (const std::size_t size : {std::size_t{0}, std::size_t{4}})
        check("model.safetensors", model.substr(0, size), {"is damaged"});
    for (const std::size_t size : {std::size_t{500}, model.size() - 1})
        check("model.safetensors", model.substr(0, size), {"is damaged"});
    check("model.safetensors", "not a safetensors file at all", {"is damaged"});
    check("optimizer.safetensors", optimizer.substr(0, optimizer.size() / 2), {"is damaged"});
    check("model.safetensors", slurp(checkpoint_of(other, 20) / "model.safetensors"),
          {"is damaged"});
    for (const char* text : {"{", "{}", "[]"}) check("state.json", text, {"is damaged"});
    fs::remove(last / "state.json");
    check_message(run_plumb(tiny_run(run, {"--resume", "auto"})), kInputOutput, {"state.json"});

    // The way out that the message names.
    check_message(run_plumb(tiny_run(run, {"--resume-from", "15"})), 0,
                  {"at step 15", "status: done"});
    CHECK(slurp(last / "model.safetensors") == model);
}

TEST_CASE("a full disk ends a run with the file and the reason", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    const std::vector<std::string> args = tiny_run(run, {"model.width=32", "train.steps=10"});
    // 20 kB: config, metrics and STATUS fit, a checkpoint does not.
    Launch small;
    small.largest_file = 20000;
    check_message(run_plumb(args, small), kInputOutput,
                  {"cannot write", "too large", run.string()});
    CHECK(slurp(run / "STATUS") == "failed\n");
    for (const auto& [name, text] : content(run))
        if (name.find("checkpoints/step_") == 0) FAIL_CHECK(name << " looks like a checkpoint");
    std::vector<std::string> again = args;
    again.insert(again.end(), {"--resume", "auto"});
    check_message(run_plumb(again), 0, {"status: done"});
}

TEST_CASE("the option --seed is train.seed, zero too", "[cli]") {
    for (const char* seed : {"0", "7"}) {
        const TempFolder temp;
        REQUIRE(run_plumb(tiny_run(temp / "run", {"train.steps=1", "--seed", seed})).code == 0);
        CHECK_THAT(slurp(temp.path() / "run" / "config.toml"),
                   contains_text(fmt::format("seed = {}", seed)));
    }
}

TEST_CASE("seeds set apart stand in config and manifest", "[cli]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"train.steps=1", "--seed", "7", "seed.data=3"})).code == 0);
    CHECK_THAT(slurp(run / "config.toml"), contains_text("[seed]\ninit = -1\ndata = 3\n"));
    const auto manifest = nlohmann::json::parse(slurp(run / "manifest.json"));
    CHECK(manifest.at("run").at("seeds") ==
          nlohmann::json({{"init", 7}, {"data", 3}, {"dropout", 7}}));
}
