// What a sweep file may say, and that all its faults are told at once.
#include "sweep/sweep_file.h"
#include "catch.h"
#include "core/check.h"
#include "support/check_message.h"
#include "support/run_program.h"
#include "support/temp_folder.h"

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr const char* kGood = R"(# Does a block help
# at both depths?

[sweep]
seeds = "1..3"
margin = 0.01
[[variant]]
name = "standard"
[[variant]]
name = "block"
mixer.name = "attnres_block"
[grid]
model.layers = [2, 4]
)";

struct Written {
    TempFolder temp;
    std::filesystem::path path = temp / "blocks.toml";

    explicit Written(const std::string& text) { spill(path, text); }
    SweepFile read(const SweepOptions& options = {}) const {
        return read_sweep_file(path, options);
    }
    std::string fault() const {
        try {
            read();
        } catch (const UsageError& e) {
            return e.what();
        }
        return "";
    }
};

std::string with(const std::string& more) { return kGood + more; }

}  // namespace

TEST_CASE("a sweep file: name, hypothesis, seeds, baseline", "[sweep]") {
    const SweepFile file = Written(kGood).read();
    CHECK(file.name == "blocks");
    CHECK(file.hypothesis == "Does a block help at both depths?");
    CHECK(file.seeds == std::vector<long>{1, 2, 3});
    CHECK(file.looks == std::vector<long>{3});
    CHECK(file.baseline == "standard");
    CHECK(file.metric == "final_val_loss");
    CHECK(file.out == "runs/blocks");
    REQUIRE(file.variants.size() == 2);
    CHECK(file.variants[1].settings.front().value == "attnres_block");
    REQUIRE(file.grid.size() == 1);
    CHECK(file.grid.front().values[1].text == "4");
}

TEST_CASE("all faults of a sweep file are told at once, with their lines", "[sweep]") {
    const std::string fault = Written(R"([sweep]
seed = "1..3"
baseline = "standart"
looks = [9]
[[variant]]
name = "standard"
model.layer = 3
train.lr = "fast"
[[variant]]
name = "block"
mixer.name = "attnres_blok"
model.layers = 4
[grid]
model.layers = [2, 0]
[zip]
model.width = [32, 64]
model.heads = [2]
[extra]
)")
                                  .fault();
    for (const char* text :
         {"blocks.toml:2: [sweep] has no 'seed'; did you mean 'seeds'?",
          "blocks.toml:3: baseline = \"standart\" is no variant",
          "blocks.toml:4: a look at 9 seeds, but there are 5",
          "blocks.toml:7: unknown key 'model.layer'; did you mean 'model.layers'?",
          "blocks.toml:8: train.lr", "blocks.toml:14: model.layers=0 is out of range",
          "[zip] lists move together", "unknown table 'extra'", "nothing was begun"})
        CHECK_THAT(fault, contains_text(text));
}

TEST_CASE("faults of a sweep file that stand alone", "[sweep]") {
    const auto fault = [](const std::string& text) { return Written(text).fault(); };
    CHECK_THAT(fault(with("[zip]\nmodel.layers = [2, 4]\n")), contains_text("say it once"));
    CHECK_THAT(fault(with("[[variant]]\nname = \"block\"\n")),
               contains_text("two variants are called 'block'"));
    CHECK_THAT(fault(with("[tune]\ntrain.lr = [1e-3]\nseeds = [3, 4]\n")),
               contains_text("seed 3 chooses and reports"));
    CHECK_THAT(fault(with("[tune]\ntrain.lr = [1e-3]\nper = [\"variants\"]\n")),
               contains_text("did you mean 'variant'"));
    CHECK_THAT(fault(with("train.seed = [1, 2]\n")), contains_text("its seeds are in [sweep]"));
    CHECK_THAT(fault(with("train.lr = []\n")), contains_text("leaves nothing to run"));
    CHECK_THAT(fault(with("[cull]\nat = 2\n")), contains_text("0 < at < 1"));
    CHECK_THAT(fault("[sweep]\nmetric = \"best_val_loss\"\n"), contains_text("compares nothing"));
    CHECK_THAT(fault("[sweep]\nmatch = \"speed\"\n"), contains_text("is not one of tokens"));
    CHECK_THAT(fault("[sweep]\nseeds = \"1..x\"\n"), contains_text("are not a list such as 1..5"));
    CHECK_THAT(fault("[sweep]\nseeds = [1, 1]\n"), contains_text("name one twice"));
    CHECK_THAT(fault("[sweep]\nmargin = -1\n"), contains_text("margin must be"));
    CHECK_THAT(fault("[sweep]\nbase = \"none.toml\"\nmargin = -1\n"),
               contains_text("blocks.toml:2: base = \"none.toml\": there is no"));
    CHECK_THAT(fault("[[variant]]\nname = \"a\"\nmixer.name = \"hypr\"\n"),
               contains_text("blocks.toml:3: "));
    CHECK_THAT(fault("[[variant]]\nname = \"a\"\nmixer.name = \"hypr\"\n"),
               contains_text("did you mean 'hyper'?"));
    const std::string tune = fault(with("[tune]\ntrain.lr = [1e-3, \"x\"]\n"));
    CHECK_THAT(tune, contains_text("train.lr"));
    CHECK(tune.find("needs a key") == std::string::npos);
    CHECK_THAT(fault("[sweep]\nscale = \"gpu\"\n"), contains_text("there is no [scale.gpu]"));
    CHECK_THAT(fault("[sweep]\nlock = \"none\"\n"), contains_text("lock"));
}

TEST_CASE("a scale sets settings over the base and replaces lists", "[sweep]") {
    const Written file(
        std::string("[sweep]\nscale = \"cpu\"\n[scale.cpu]\ntrain.steps = 10\n"
                    "[scale.gpu]\ntrain.steps = 99\n[scale.gpu.grid]\n"
                    "model.layers = [8]\n[grid]\nmodel.layers = [2, 4]\n"));
    const SweepFile cpu = file.read(), gpu = file.read({{}, "gpu", "", "", ""});
    CHECK(cpu.base.config.train.steps == 10);
    CHECK(cpu.grid.front().values.size() == 2);
    CHECK(gpu.base.config.train.steps == 99);
    CHECK(gpu.grid.front().values.front().text == "8");
    CHECK(gpu.out == "runs/blocks-gpu");
    CHECK_THAT(gpu.text, contains_text("scale = \"gpu\""));
    CHECK(file.read({{"train.steps=7"}, "gpu", "", "", ""}).base.config.train.steps == 7);
}

TEST_CASE("seeds are typed as ranges and lists", "[sweep]") {
    CHECK(parse_seeds("1..3,7", "x") == std::vector<long>{1, 2, 3, 7});
    CHECK(parse_seeds("0", "x") == std::vector<long>{0});
    for (const char* bad : {"", "3..1", "1,,2", "1..", "-1", "1;2", "1..999999"})
        CHECK_THROWS_AS(parse_seeds(bad, "x"), UsageError);
}
