#include "core/threads.h"

#include "catch.h"
#include "support/environment.h"

#include <omp.h>

using namespace plumb;

TEST_CASE("the number of threads: asked, then OpenMP's variable, then Slurm's, then the cores",
          "[core]") {
    const test::Environment no_omp("OMP_NUM_THREADS", nullptr),
        no_slurm("SLURM_CPUS_PER_TASK", nullptr);
    CHECK(choose_threads(0).n == omp_get_num_procs());
    CHECK(choose_threads(0).from == "all cores");
    const test::Environment slurm("SLURM_CPUS_PER_TASK", "3");
    CHECK(choose_threads(0).n == 3);
    CHECK(choose_threads(0).from == "SLURM_CPUS_PER_TASK");
    {
        const test::Environment omp("OMP_NUM_THREADS", "5,2");
        CHECK(choose_threads(0).n == 5);
        CHECK(choose_threads(0).from == "OMP_NUM_THREADS");
        CHECK(choose_threads(7).n == 7);
        CHECK(choose_threads(7).from == "--threads");
    }
    for (const char* bad : {"", "0", "-1", "many", "99999", "2x"}) {
        const test::Environment omp("OMP_NUM_THREADS", bad);
        CHECK(choose_threads(0).n == 3);
    }
}
