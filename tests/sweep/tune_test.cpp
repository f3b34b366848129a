// Two stages: values are chosen on seeds of their own, then the reported seeds are run.
#include "sweep/tune.h"
#include "catch.h"
#include "core/check.h"
#include "support/check_message.h"
#include "sweep/made_sweep.h"

#include <limits>

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr double kDiverged = std::numeric_limits<double>::infinity();

std::string tuned_sweep(const std::string& tune) {
    return std::string("seeds = \"1..2\"\n") + kTwoVariants + "[tune]\n" + tune;
}

// Ends every run of stage 1 with the loss that `loss` gives it.
template <class Loss>
void end_tuning(const SweepPlan& plan, Loss&& loss) {
    for (const PlannedRun& run : plan.runs)
        if (run.stage == "tune") {
            const double x = loss(run);
            if (x == kDiverged)
                pretend_diverged(run);
            else
                pretend_done(run, x);
        }
}

}  // namespace

TEST_CASE("the best candidate has the lowest mean, and one that diverged is the worst", "[sweep]") {
    CHECK(best_candidate({{1, 3}, {1.5, 1.5}, {0, kDiverged}}) == 1);
    CHECK(best_candidate({{2, 2}, {1, 3}}) == 0);  // equal: the first
    CHECK(best_candidate({{kDiverged}, {9}}) == 1);
    CHECK_FALSE(best_candidate({{kDiverged}, {kDiverged}}));
}

TEST_CASE("main runs of a group are planned when its tuning has ended", "[sweep]") {
    const MadeSweep sweep(tuned_sweep("train.lr = [4e-3, 1e-3, 2e-3]\nmixer.lr_scale = [1, 10]\n"));
    SweepPlan plan = sweep.written();
    CHECK(count_of(plan, "standard", "tune") == 3 * 2);  // lr_scale moves nothing there
    CHECK(count_of(plan, "block", "tune") == 6 * 2);
    CHECK(count_of(plan, "block") == 0);
    REQUIRE(plan.pending.size() == 2);
    CHECK(plan.pending[1].tune_runs == 12);
    for (const PlannedRun& run : plan.runs) CHECK(run.seed > 1000);

    end_tuning(plan, [](const PlannedRun& run) {
        if (run.variant == "standard") return run.config.train.lr == 2e-3 ? 1.0 : 2.0;
        if (run.config.train.lr == 1e-3) return kDiverged;
        return 5 - 100 * run.config.train.lr - run.config.mixer.lr_scale / 100;
    });
    plan = sweep.written();
    CHECK(plan.pending.empty());
    REQUIRE(plan.winners.size() == 2);
    CHECK(plan.winners[0].chosen == SweepPoint{{"train.lr", "0.002"}});
    CHECK(plan.winners[0].edge.empty());
    CHECK(plan.winners[1].chosen == SweepPoint{{"mixer.lr_scale", "10.0"}, {"train.lr", "0.004"}});
    CHECK(plan.winners[1].edge == "largest");
    CHECK_THAT(plan.warnings.at(0), contains_text("is the largest tried for block"));
    CHECK(count_of(plan, "standard") == 2);
    for (const PlannedRun& run : plan.runs) {
        if (run.stage != "main") continue;
        CHECK(run.config.train.lr == (run.variant == "block" ? 4e-3 : 2e-3));
        CHECK(run.seed <= 2);
        CHECK(run.index >= 18);
    }
}

TEST_CASE("exclude drops values of tune, and an edge is one among what was tried", "[sweep]") {
    const std::string tune =
        "train.lr = [1e-3, 2e-3, 4e-3]\nmixer.lr_scale = [1, 10]\n"
        "[[exclude]]\nmixer.name = \"standard\"\ntrain.lr = 4e-3\n"
        "[[exclude]]\nmixer.name = \"attnres_block\"\nmixer.lr_scale = 10\ntrain.lr = [1e-3, "
        "4e-3]\n";
    const MadeSweep sweep(tuned_sweep(tune));
    SweepPlan plan = sweep.written();
    CHECK(count_of(plan, "standard", "tune") == 2 * 2);
    CHECK(count_of(plan, "block", "tune") == 4 * 2);
    end_tuning(plan, [](const PlannedRun& run) {
        if (run.variant == "standard") return 1 - run.config.train.lr;
        return run.config.mixer.lr_scale == 10 ? 1.0 : 2.0;
    });
    plan = sweep.written();
    REQUIRE(plan.winners.size() == 2);
    CHECK(plan.winners[0].chosen == SweepPoint{{"train.lr", "0.002"}});
    CHECK(plan.winners[0].edge == "largest");  // 4e-3 was not tried
    CHECK(plan.winners[1].chosen == SweepPoint{{"mixer.lr_scale", "10.0"}, {"train.lr", "0.002"}});
    CHECK(plan.winners[1].key == "mixer.lr_scale");  // the only rate tried at this scale is no edge

    const MadeSweep none(
        tuned_sweep("train.lr = [1e-3, 2e-3]\n[[exclude]]\ntrain.lr = [1e-3, 2e-3]\n"));
    CHECK_THAT(none.fault(), contains_text("drops every value of [tune] for standard"));
}

TEST_CASE("tuning that diverged everywhere chooses nothing", "[sweep]") {
    const MadeSweep sweep(tuned_sweep("train.lr = [1e-3, 2e-3]\nseeds = [7]\n"));
    end_tuning(sweep.written(),
               [](const PlannedRun& run) { return run.variant == "block" ? kDiverged : 1.0; });
    const SweepPlan plan = sweep.written();
    CHECK(count_of(plan, "standard") == 2);
    CHECK(count_of(plan, "block") == 0);
    CHECK(plan.pending.size() == 1);
    std::string all;
    for (const std::string& text : plan.warnings) all += text;
    CHECK_THAT(all, contains_text("block: every value of [tune] diverged"));
}

TEST_CASE("per says which runs share a chosen value", "[sweep]") {
    const std::string grid = "[grid]\nmodel.layers = [2, 3]\n";
    const MadeSweep own(tuned_sweep("train.lr = [1e-3, 2e-3]\nseeds = [7]\n") + grid);
    CHECK(own.plan().pending.size() == 4);
    const MadeSweep shared(
        tuned_sweep("train.lr = [1e-3, 2e-3]\nseeds = [7]\nper = [\"variant\"]\n") + grid);
    end_tuning(shared.written(), [](const PlannedRun& run) {  // opposite tastes: the mean decides
        const bool low = run.config.train.lr == 1e-3;
        return run.config.model.layers == 2 ? (low ? 1.0 : 2.0) : (low ? 9.0 : 1.0);
    });
    for (const TuneWinner& w : shared.written().winners)
        CHECK(w.chosen == SweepPoint{{"train.lr", "0.002"}});
}
