// The checks of plumb_gpu_check on the emulated device: every kernel of the memories against its
// rule in double, those of the ops against the CPU's, each walk in several orders of threads,
// blocks and streams, which must give the same bits (gpu/kernel_checks.h).
#include "catch.h"
#include "emulated/planted.h"
#include "gpu/report.h"
#include "support/thread_orders.h"

namespace plumb::test {
namespace {

void run(void (*part)(Report&)) {
    Report report;
    part(report);
    CHECK(report.n_checks() > 5);
    CHECK(report.ok());
}

}  // namespace

TEST_CASE("kernels: primitives", "[kernels]") {
    in_every_order([] { run(check_primitives); });
}
TEST_CASE("kernels: RunningRow", "[kernels]") { run(check_running_row); }
TEST_CASE("kernels: Sources", "[kernels]") { run(check_sources); }
TEST_CASE("kernels: Streams", "[kernels]") { run(check_streams); }
TEST_CASE("kernels: Streams and their dots", "[kernels]") { run(check_stream_dots); }
TEST_CASE("kernels: ops", "[kernels]") { run(check_ops); }
TEST_CASE("kernels: Sinkhorn", "[kernels]") {  // no thread of it knows of another
    emulated::set_order(1);
    run(check_sinkhorn);
}

}  // namespace plumb::test
