// Runs of programs that did not know a setting yet: they go on with what it is by default.
#include "catch.h"
#include "support/run_files.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

struct Younger {
    std::string key, line;   // the setting, and what a run's config.toml has of it
    std::string other, why;  // another value, and how it is refused
};

}  // namespace

TEST_CASE("a run of before there was a setting resumes with its default", "[run]") {
    const std::vector<Younger> settings{
        {"train.optimizer", "optimizer = \"adamw\"\n", "muon",
         "train.optimizer (\"adamw\" there, \"muon\" here)"},
        {"model.pattern", "pattern = [\"attn\", \"mlp\"]\n", "mlp",
         "model.pattern ([\"attn\", \"mlp\"] there, [\"mlp\"] here)"}};
    for (const Younger& s : settings) {
        INFO(s.key);
        const TempFolder temp;
        const fs::path run = temp / "run", last = checkpoint_of(run, 20);
        REQUIRE(run_plumb(tiny_run(run)).code == 0);
        const auto want = content(last);
        REQUIRE(fs::remove_all(last) > 0);
        spill(run / "STATUS", "running\n");
        std::string toml = slurp(run / "config.toml");
        REQUIRE(toml.find(s.line) != std::string::npos);
        spill(run / "config.toml", toml.erase(toml.find(s.line), s.line.size()));
        const fs::path before = checkpoint_of(run, 15);
        auto state = read_json(before / "state.json");
        REQUIRE(state.at("settings").erase(s.key) == 1);
        spill(before / "state.json", state.dump());
        sign(before);
        std::vector<std::string> resume{"train", "--out",     run, "--resume",
                                        "must",  "--threads", "1"};
        const Outcome o = run_plumb(resume);
        INFO(o.out);
        REQUIRE(o.code == 0);
        CHECK(content(last) == want);
        resume.push_back(s.key + "=" + s.other);
        const Outcome refused = run_plumb(resume);
        CHECK(refused.code == 2);
        CHECK_THAT(refused.out, contains_text(s.why));
    }
}
