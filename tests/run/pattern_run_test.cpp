// Runs of transformer blocks that are not an attention and an MLP: trained, gone on with, looked
// at.
#include "catch.h"
#include "support/run_files.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

const std::vector<std::string> kPattern{"model.pattern=attn,attn,mlp", "model.layers=2",
                                        "attn.value_residual=true", "mixer=denseformer"};

}  // namespace

TEST_CASE("a run of another pattern resumes to the bytes of an unbroken one", "[run]") {
    const TempFolder temp;
    const fs::path whole = temp / "whole", broken = temp / "broken";
    REQUIRE(run_plumb(tiny_run(whole, kPattern)).code == 0);
    REQUIRE(run_plumb(tiny_run(broken, kPattern)).code == 0);
    REQUIRE(fs::remove_all(checkpoint_of(broken, 20)) > 0);
    spill(broken / "STATUS", "running\n");
    const Outcome resumed =
        run_plumb({"train", "--out", broken, "--resume", "must", "--threads", "1"});
    INFO(resumed.out);
    REQUIRE(resumed.code == 0);
    CHECK(content(checkpoint_of(broken, 20)) == content(checkpoint_of(whole, 20)));

    // Everything that looks at it names the sublayers of its own blocks.
    const auto probe = lines_of(whole / "depth.jsonl");
    REQUIRE(probe.size() == 3 * 8);  // at three steps v_0 .. v_6 and the output
    CHECK((probe.at(2)["site"] == "layer.0.attn2" && probe.at(2)["kind"] == "attn"));
    CHECK((probe.at(3)["site"] == "layer.0.mlp" && probe.at(4)["site"] == "layer.1.attn"));
    const Outcome row = run_plumb({"matrix", whole, "--row", "layer.0.attn2"});
    CHECK_THAT(row.out, contains_text("sublayer 2 (layer.0.attn2)"));
    const Outcome map = run_plumb({"matrix", whole});
    CHECK_THAT(map.out, contains_text("read by attention\n   1  "));
    CHECK_THAT(map.out, contains_text("read by MLP\n   3  "));
    CHECK(run_plumb({"eval", whole, "--drop", "layer.1.attn2", "--json"}).code == 0);
    const Outcome other = run_plumb({"eval", whole, "--drop", "layer.1.mlp2"});
    CHECK((other.code == 2 && other.out.find("layer.1.mlp2") != std::string::npos));
}

TEST_CASE("a dry run counts the sublayers of the pattern", "[cli]") {
    const auto params = [](const std::string& pattern) {
        const Outcome o = run_plumb({"train", "data.task=copy", "model.layers=1", "model.width=16",
                                     "model.heads=2", "model.mlp_hidden=24",
                                     "model.pattern=" + pattern, "--dry-run"});
        REQUIRE(o.code == 0);
        return o.out;
    };
    // Of an attention 4 * 16 * 16 weights, of an MLP 3 * 16 * 24.
    const std::string two = params("attn,attn"), one = params("mlp");
    CHECK_THAT(two, contains_text("attention"));
    CHECK_THAT(two, contains_text("2,048"));
    CHECK(two.find("MLP  ") == std::string::npos);
    CHECK_THAT(one, contains_text("1,152"));
    CHECK(one.find("attention  ") == std::string::npos);
}
