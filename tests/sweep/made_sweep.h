// Sweep files of tiny runs in a folder of their own, and runs that look as if they had ended.
#pragma once

#include "core/files.h"
#include "support/run_program.h"
#include "support/temp_folder.h"
#include "sweep/sweep_plan.h"

#include <algorithm>
#include <string>
#include <vector>

namespace plumb::test {

struct MadeSweep {
    TempFolder temp;
    std::filesystem::path path = temp / "q.toml", out = temp / "out";

    explicit MadeSweep(const std::string& text) { write(text); }
    // With a base of two blocks on a built-in task, and with its folder in the temporary one.
    void write(const std::string& text) const {
        spill(temp / "base.toml",
              "[model]\nlayers = 2\nwidth = 16\nheads = 2\ncontext = 64\n[train]\nsteps = 40\n"
              "batch = 2\nwarmup = 2\n[data]\ntask = \"copy\"\n");
        spill(path, "# q\n[sweep]\nbase = \"base.toml\"\n" + text);
    }
    SweepFile file(SweepOptions options = {}) const {
        options.out = out;
        return read_sweep_file(path, options);
    }
    SweepPlan plan(const SweepOptions& options = {}) const { return make_plan(file(options)); }
    SweepPlan written(const SweepOptions& options = {}) const { return write_plan(file(options)); }
    std::string fault() const {
        try {
            plan();
        } catch (const UsageError& e) {
            return e.what();
        }
        return "";
    }
};

inline void pretend_done(const PlannedRun& run, double loss) {
    make_folder(run.dir);
    spill(run.dir / "summary.json", fmt::format("{{\"final_val_loss\": {}}}", loss));
    spill(run.dir / "STATUS", "done\n");
}
inline void pretend_diverged(const PlannedRun& run) {
    make_folder(run.dir);
    spill(run.dir / "STATUS", "diverged\n");
}

inline long count_of(const SweepPlan& plan, const std::string& variant,
                     const std::string& stage = "main") {
    return std::count_if(plan.runs.begin(), plan.runs.end(), [&](const PlannedRun& r) {
        return r.variant == variant && r.stage == stage;
    });
}

constexpr const char* kTwoVariants =
    "[[variant]]\nname = \"standard\"\n[[variant]]\nname = \"block\"\n"
    "mixer.name = \"attnres_block\"\n";

}  // namespace plumb::test
