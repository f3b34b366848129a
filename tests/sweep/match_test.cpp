// Variants made alike in parameters, FLOPs or time; runs that are not alike are told.
#include "catch.h"
#include "core/check.h"
#include "support/check_message.h"
#include "sweep/calibrate.h"
#include "sweep/made_sweep.h"

#include <cmath>

using namespace plumb;
using namespace plumb::test;

namespace {

const PlannedRun& run_of(const SweepPlan& plan, std::string_view variant) {
    return *std::find_if(plan.runs.begin(), plan.runs.end(),
                         [&](const PlannedRun& run) { return run.variant == variant; });
}

std::string sweep_of(const std::string& match) {
    return "seeds = [1]\nmatch = \"" + match +
           "\"\n[[variant]]\nname = \"standard\"\n[[variant]]\nname = \"mhc\"\n"
           "mixer.name = \"mhc\"\n";
}

}  // namespace

TEST_CASE("match = params moves mlp_hidden to the nearest count", "[sweep]") {
    const MadeSweep sweep("seeds = [1]\nmatch = \"params\"\n" + std::string(kTwoVariants));
    const SweepPlan plan = sweep.plan();
    const PlannedRun &base = run_of(plan, "standard"), &block = run_of(plan, "block");
    CHECK(block.config.model.mlp_hidden > 0);
    CHECK(block.config.model.mlp_hidden < base.config.model.resolved().mlp_hidden);
    const auto off = std::abs(static_cast<double>(block.params - base.params));
    // A hidden channel of a gated MLP costs 3 C in each of the two blocks.
    CHECK(off <= 3 * 16 * 2 / 2.0);
    CHECK_THAT(plan.notes.back(), contains_text("matched params within"));
    // Too many parameters for any MLP: as near as it goes, and said.
    const SweepPlan far = MadeSweep(sweep_of("params")).plan();
    CHECK(run_of(far, "mhc").config.model.mlp_hidden == 1);
    CHECK_THAT(far.warnings.at(0), contains_text("params differ by up to +"));
}

TEST_CASE("match = flops scales the steps", "[sweep]") {
    const SweepPlan plan = MadeSweep(sweep_of("flops")).plan();
    const PlannedRun &base = run_of(plan, "standard"), &mhc = run_of(plan, "mhc");
    CHECK(mhc.config.train.steps < base.config.train.steps);
    const double one = mhc.flops_per_token * 2 * 64;  // of a step
    CHECK(std::abs(mhc.flops_per_token * mhc.tokens - base.flops_per_token * base.tokens) <=
          one / 2);
}

TEST_CASE("match = time wants a calibration, and takes its steps", "[sweep]") {
    const MadeSweep sweep(sweep_of("time"));
    CHECK_THAT(sweep.fault(), contains_text("plumb sweep calibrate"));
    const Calibration measured = calibrate(sweep.file(), {1, 3, {}});
    REQUIRE(measured.cells.size() == 1);
    CHECK(measured.cells.front().relative > 0);
    spill(sweep.out / "calibration.toml", "");
    make_folder(sweep.out);
    spill(sweep.out / "calibration.toml", to_toml(measured));
    CHECK(run_of(sweep.plan(), "mhc").config.train.steps == measured.cells.front().steps);
    CHECK(run_of(sweep.plan(), "standard").config.train.steps == 40);
    spill(sweep.out / "calibration.toml", "device = \"x\"\n");
    CHECK_THROWS_AS(sweep.plan(), IoError);
}

TEST_CASE("match by a key that cannot match is refused", "[sweep]") {
    CHECK_THAT(
        MadeSweep("match = \"flops\"\nmatch_by = \"model.width\"\n" + std::string(kTwoVariants))
            .fault(),
        contains_text("moves train.steps"));
}
