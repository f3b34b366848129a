// What may change when a run goes on, and what may not.
#include "run/run_settings.h"

#include "catch.h"
#include "core/check.h"
#include "support/check_message.h"
#include "train/schedule.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

Config config_of(const std::vector<std::string>& settings) {
    return load_config("", settings).config;
}

std::string refusal(const std::vector<std::string>& there, const std::vector<std::string>& here,
                    long completed) {
    try {
        require_same_settings("runs/a", config_of(there), config_of(here), completed);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "";
}

void check_run(const std::vector<std::string>& args, int code, const std::string& mention) {
    const Outcome o = run_plumb(args);
    INFO(o.out);
    CHECK(o.code == code);
    CHECK_THAT(o.out, contains_text(mention));
}

std::vector<std::string> resume(const fs::path& run, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args{"train", "--out", run, "--resume", "auto", "--threads", "1"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

}  // namespace

TEST_CASE("settings that change no numbers may change, others are named") {
    CHECK(refusal({},
                  {"train.log_every=3", "train.checkpoint_every=7", "train.keep_checkpoints=9",
                   "train.keep_best=false", "record.probe_every=0", "record.tensorboard=false"},
                  500) == "");
    const std::string text =
        refusal({"mixer=mhc", "mixer.streams=2"}, {"mixer=mhc", "train.lr=0.5"}, 0);
    CHECK_THAT(text, contains_text("mixer.streams (2 there, 4 here), train.lr (0.001 there, 0.5"));
    for (const char* key : {"train.seed=3", "train.eval_every=7", "train.patience=2",
                            "train.precision=bf16", "model.layers=3", "data.task=copy"})
        CHECK_THAT(refusal({}, {key}, 0), contains_text("another config"));
}

TEST_CASE("train.steps may change where the steps already taken keep their rates") {
    const auto steps = [](const char* schedule, long from, long to, long completed) {
        const std::string s = std::string("train.schedule=") + schedule;
        return refusal({s, "train.steps=" + std::to_string(from)},
                       {s, "train.steps=" + std::to_string(to)}, completed);
    };
    CHECK(steps("constant", 1000, 5000, 1000) == "");
    CHECK(steps("constant", 5000, 1000, 1000) == "");
    CHECK(steps("wsd", 1000, 2000, 800) == "");     // decays over the last 200
    CHECK(steps("cosine", 1000, 2000, 100) == "");  // in the warm-up
    CHECK(steps("cosine", 1000, 2000, 0) == "");
    CHECK_THAT(steps("wsd", 1000, 2000, 900), contains_text("--init-from runs/a@900"));
    CHECK_THAT(steps("cosine", 1000, 2000, 500), contains_text("learning rates"));
    CHECK_THAT(steps("constant", 5000, 900, 1000),
               contains_text("train.steps=900 is less than the 1000 steps that the run has made") &&
                   !contains_text("learning rate"));
}

TEST_CASE("a run goes on without its settings, at another cadence, and to more steps", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run", whole = temp / "whole";
    const std::vector<std::string> constant{"train.schedule=constant"};
    REQUIRE(run_plumb(tiny_run(run, constant)).code == 0);
    check_run(resume(run), 0, "is done already");
    check_run(resume(run, {"train.log_every=5"}), 0, "is done already");
    CHECK_THAT(slurp(run / "config.toml"), contains_text("log_every = 1\n"));
    check_run(resume(run, {"train.lr=0.5"}), 2, "train.lr (0.001 there, 0.5 here)");
    check_run(resume(run, {"train.steps=40", "train.log_every=5", "train.keep_checkpoints=3"}), 0,
              "status: done");
    CHECK_THAT(slurp(run / "config.toml"), contains_text("steps = 40\n") &&
                                               contains_text("log_every = 5\n") &&
                                               contains_text("schedule = \"constant\"\n"));
    REQUIRE(run_plumb(tiny_run(whole, {"train.schedule=constant", "train.steps=40"})).code == 0);
    CHECK(content(checkpoint_of(run, 40)) == content(checkpoint_of(whole, 40)));
    CHECK(slurp(run / "summary.json") == slurp(whole / "summary.json"));

    REQUIRE(run_plumb(tiny_run(temp / "cosine")).code == 0);
    check_run(resume(temp / "cosine", {"train.steps=40"}), 2, "--init-from");
    // A settings file stands for a whole config.
    spill(temp / "other.toml", "[data]\ntask = \"copy\"\n");
    check_run(resume(run, {"-c", temp / "other.toml"}), 2, "another config");
    check_run(resume(run, {"mixer.streams=2"}), 2, "settings are laid over its own");
}

TEST_CASE("a finished run refuses other data", "[run]") {
    const TempFolder temp;
    const auto prepare = [&](const char* name, const std::string& line) {
        std::string text;
        for (int i = 0; i < 80; ++i) text += line;
        spill(temp / "text", text);
        REQUIRE(
            run_plumb({"data", "prepare", temp / "text", "--out", temp / name, "--force"}).code ==
            0);
        return "data.path=" + (temp / name).string();
    };
    const fs::path run = temp / "run";
    const std::string first = prepare("first", "a man in want of a wife\n");
    const std::string other = prepare("other", "a wife in want of a man\n");
    const std::vector<std::string> args{"train",          first,
                                        "model.layers=1", "model.width=16",
                                        "model.heads=2",  "model.context=16",
                                        "train.steps=2",  "train.warmup=1",
                                        "--threads",      "1",
                                        "--out",          run};
    REQUIRE(run_plumb(args).code == 0);
    const auto before = content(run);
    check_run(resume(run, {other}), 2, "trained on other data than");
    check_run(resume(run, {"data.path=" + (temp / "none").string()}), 4, "none");
    fs::copy(temp / "first", temp / "moved", fs::copy_options::recursive);
    check_run(resume(run, {"data.path=" + (temp / "moved").string()}), 0, "is done already");
    check_run(resume(run), 0, "is done already");
    prepare("first", "a wife in want of a man\n");
    check_run(resume(run), 2, "trained on other data than");
    fs::remove_all(temp / "first");
    check_run(resume(run), 0, "is done already");
    CHECK(content(run) == before);
}

TEST_CASE("a run on files of another program refuses changed ones, finished or not", "[run]") {
    const TempFolder temp;
    const fs::path data = temp / "data", run = temp / "run";
    fs::create_directory(data);
    const auto write = [&](int stride) {  // uint16 tokens 0 to 9, no meta.json
        std::string tokens;
        for (int i = 0; i < 200; ++i) tokens += {static_cast<char>(i * stride % 10), '\0'};
        for (const char* name : {"train.bin", "val.bin"}) spill(data / name, tokens);
    };
    write(1);
    REQUIRE(
        run_plumb({"train", "data.path=" + data.string(), "model.layers=1", "model.width=16",
                   "model.heads=2", "model.context=16", "train.steps=4", "train.checkpoint_every=2",
                   "train.warmup=1", "--threads", "1", "--out", run})
            .code == 0);
    check_run(resume(run), 0, "is done already");
    write(3);
    check_run(resume(run), 2, "trained on other data");
    fs::remove_all(checkpoint_of(run, 4));
    fs::remove(run / "summary.json");
    spill(run / "STATUS", "running\n");
    const auto before = content(run);
    check_run(resume(run), 2, "trained on other data");
    CHECK(content(run) == before);
    write(1);
    check_run(resume(run), 0, "status: done");
    fs::remove_all(data);
    check_run(resume(run), 0, "is done already");
}

TEST_CASE("a run goes on with the numerics that it began with", "[run]") {
    const TempFolder temp;
    const fs::path run = temp / "run";
    REQUIRE(run_plumb(tiny_run(run, {"model.dropout=0.1"})).code == 0);
    const auto manifest = nlohmann::json::parse(slurp(run / "manifest.json"));
    CHECK(manifest.at("numerics") == 2);
    auto older = manifest;
    older["numerics"] = 1;
    spill(run / "manifest.json", older.dump());
    check_run(resume(run), 0, "is done already");
    fs::remove_all(checkpoint_of(run, 20));
    spill(run / "STATUS", "running\n");
    const auto before = content(run);
    const Outcome refused = run_plumb(resume(run));
    check_message(refused, kUsage,
                  {"begun with numerics 1", "plumb list numerics", "another --out"});
    CHECK(content(run) == before);
    older.erase("numerics");  // runs of before there were any say nothing
    spill(run / "manifest.json", older.dump());
    check_run(resume(run), 0, "status: done");
}

TEST_CASE("a run starts from the weights of another and then stands alone", "[run]") {
    const TempFolder temp;
    const fs::path from = temp / "from", run = temp / "run";
    REQUIRE(run_plumb(tiny_run(from)).code == 0);
    const auto start = tiny_run(
        run, {"--init-from", from, "train.lr=1e-30", "train.weight_decay=0", "--resume", "auto"});
    REQUIRE(run_plumb(start).code == 0);
    // At a rate of nothing the weights stay what they were.
    CHECK(slurp(checkpoint_of(run, 20) / "model.safetensors").substr(8) ==
          slurp(checkpoint_of(from, 20) / "model.safetensors").substr(8));
    CHECK_THAT(slurp(run / "config.toml"), contains_text("@20\"\n"));
    const auto manifest = nlohmann::json::parse(slurp(run / "manifest.json"));
    CHECK(manifest.at("init_from").at("step") == 20);
    CHECK(manifest.at("init_from").at("model_sha256") ==
          sha256_hex(slurp(checkpoint_of(from, 20) / "model.safetensors")));
    check_run(start, 0, "is done already");
    fs::remove_all(from);
    check_run(resume(run), 0, "is done already");
    check_run(tiny_run(temp / "new", {"--init-from", from}), 4,
              "--init-from " + from.string() + ": " + from.string() + ": no such folder");
    check_run(tiny_run(temp / "new", {"--init-from", run.string() + "@7"}), 4, "it has @");
    // What differs is named, as is what to add; settings that shape no weight are not.
    const Outcome wide = run_plumb(
        tiny_run(temp / "new", {"--init-from", run, "model.width=32", "model.heads=4",
                                "model.mlp=gelu", "model.context=8", "model.dropout=0.1"}));
    check_message(
        wide, kUsage,
        {"other shapes", "model.width (16 there, 32 here)",
         "model.mlp (\"swiglu\" there, \"gelu\" here)", "add: model.width=16 model.mlp=swiglu\n"});
    check_message(run_plumb(tiny_run(temp / "new", {"--init-from", run, "data.task_vocab=8"})),
                  kUsage, {"The vocabulary is 32 there, 8 here"});
    CHECK(run_plumb(tiny_run(temp / "fits", {"--init-from", run, "model.heads=4", "model.context=8",
                                             "model.dropout=0.1"}))
              .code == 0);
    CHECK_FALSE(fs::exists(temp.path() / "new" / "config.toml"));
}

// Zero-query AttnRes is the standard network (paper section 3.1), so the loss tells that every
// weight but the mixer's was taken over, and a network of other weights that it says something.
TEST_CASE("a run starts from the weights of another mixer", "[run]") {
    const TempFolder temp;
    const std::string from = temp / "from", query = temp / "query", back = temp / "back";
    REQUIRE(run_plumb(tiny_run(from)).code == 0);
    const auto first_loss = [](const fs::path& run) {
        const std::string lines = slurp(run / "metrics.jsonl");
        return nlohmann::json::parse(lines.substr(0, lines.find('\n')))
            .at("val/loss")
            .get<double>();
    };
    const double loss =
        nlohmann::json::parse(slurp(fs::path(from) / "summary.json")).at("last_val_loss");
    const std::vector<std::string> options{"mixer=attnres", "--init-from", from};
    check_run(tiny_run(query, options), 0,
              "mixer parameters (key_gain, query) of attnres are not in " + from);
    CHECK(std::abs(first_loss(query) - loss) < 1e-6);
    CHECK(std::abs(first_loss(from) - loss) > 1e-3);
    const auto start =
        nlohmann::json::parse(slurp(fs::path(query) / "manifest.json")).at("init_from");
    const std::vector<std::string> mixers{"layer.0.mlp.mixer.key_gain", "layer.0.mlp.mixer.query",
                                          "output.mixer.key_gain", "output.mixer.query"};
    CHECK_THAT(start.at("own_start").get<std::vector<std::string>>(),
               Catch::Matchers::UnorderedEquals(mixers));
    CHECK(start.at("left_out").empty());

    check_run(tiny_run(back, {"mixer=standard", "--init-from", query + "@best"}), 0,
              "have no place in standard: they are left out");
    const auto gone = nlohmann::json::parse(slurp(fs::path(back) / "manifest.json"));
    CHECK(gone.at("init_from").at("left_out") == mixers);
}
