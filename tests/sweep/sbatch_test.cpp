// The Slurm script of a sweep. That Slurm runs it: scripts/sweep_engines_test.
#include "sweep/sbatch.h"

#include "catch.h"
#include "core/check.h"
#include "sweep/made_sweep.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("a Slurm script has the runs left, in chunks", "[sweep]") {
    const MadeSweep sweep(std::string("seeds = \"1..3\"\n") + kTwoVariants);
    const SweepPlan plan = sweep.written();
    pretend_done(plan.runs.at(1), 1.0);
    SbatchOptions o;
    o.chunk = 2, o.plumb = "plumb", o.file = "q.toml", o.partition = "short";
    const std::string script = sbatch_script(plan, o);
    for (const std::string& line :
         {std::string("# 5 runs of q.toml in 3 jobs; submit with: sbatch THIS_FILE"),
          std::string("#SBATCH --array=0-2"), std::string("#SBATCH --partition=short"),
          std::string("#SBATCH --signal=B:TERM@120 --requeue --open-mode=append"),
          std::string("chunks=(0 2-3 4-5)"),
          std::string("if [ $code = 130 ] && [ \"$(squeue -h -j $job -o %T)\" = RUNNING ]; then"),
          "#SBATCH --output=\"" + (sweep.out / "slurm-%A_%a.txt").string() + "\"",
          std::string("plumb sweep run-index q.toml \"${chunks[$SLURM_ARRAY_TASK_ID]}\"")})
        CHECK_THAT(script, contains_text("\n" + line));

    o.max_array = 2;
    CHECK_THROWS_WITH(sbatch_script(plan, o), contains_text("--chunk 3 or more"));
    for (const PlannedRun& run : plan.runs) pretend_done(run, 1.0);
    CHECK_THROWS_WITH(sbatch_script(plan, o), contains_text("plumb compare"));
}

TEST_CASE("a job's time is one that Slurm reads, and long enough for a checkpoint", "[sweep]") {
    CHECK(slurm_seconds("90") == 5400);
    CHECK(slurm_seconds("90:30") == 5430);
    CHECK(slurm_seconds("01:30:05") == 5405);
    CHECK(slurm_seconds("2-12") == 60 * 3600);
    CHECK(slurm_seconds("1-00:10") == 86400 + 600);
    CHECK(slurm_seconds("1-00:00:07") == 86407);
    for (const char* text : {"", "1h", "-5", "1:2:3:4", "10\n#SBATCH", "99999999999999999999"})
        CHECK_THROWS_WITH(slurm_seconds(text), contains_text("is no limit of a job"));

    const MadeSweep sweep(std::string("seeds = [1]\n") + kTwoVariants);
    SbatchOptions o;
    o.time = "00:04:59";
    CHECK_THROWS_WITH(sbatch_script(sweep.plan(), o), contains_text("5 minutes or more"));
    o.time = "00:05:00";
    CHECK_NOTHROW(sbatch_script(sweep.plan(), o));
}
