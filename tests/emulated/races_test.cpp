// What ThreadSanitizer says of kernels, whatever the order was; each in a process of its own, since
// it says it once. Only in plumb_emulated_race.
#ifdef __SANITIZE_THREAD__
#include "catch.h"
#include "emulated/planted.h"

namespace plumb::test {
namespace {

struct Case {
    Buffer<float> x{ones(512)}, y{512};
    cudaStream_t a = nullptr, b = nullptr;
    cudaEvent_t e = nullptr;
    Case() {
        check(cudaStreamCreate(&a), "stream"), check(cudaStreamCreate(&b), "stream");
        check(cudaEventCreate(&e), "event");
        check(cudaDeviceSynchronize(), "synchronise");
    }
    void b_after_a() { check(cudaEventRecord(e, a), "e"), check(cudaStreamWaitEvent(b, e), "e"); }
    void a_after_b() { check(cudaEventRecord(e, b), "e"), check(cudaStreamWaitEvent(a, e), "e"); }
    void finish() { check(cudaDeviceSynchronize(), "synchronise"); }

    void graph(bool edge) {
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t exec = nullptr;
        check(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal), "begin");
        if (!edge) b_after_a();
        launch(a, "block_sum", block_sum<true>, {1, 128}, x.at(), y.at());
        if (edge) b_after_a();
        launch(b, "increment", increment, {1, 1}, y.at());
        a_after_b();
        check(cudaStreamEndCapture(a, &graph), "end");
        check(cudaGraphInstantiate(&exec, graph), "graph");
        check(cudaGraphLaunch(exec, a), "graph"), check(cudaGraphLaunch(exec, a), "graph");
        finish();
    }
    void two_streams(bool event) {
        launch(a, "block_sum", block_sum<true>, {1, 128}, x.at(), y.at());
        if (event) b_after_a();
        launch(b, "increment", increment, {1, 1}, y.at());
        finish();
    }
};

TEST_CASE("race: none with a barrier", "[.race]") {
    Case c;
    launch(c.a, "block_sum", block_sum<true>, {3, 128}, c.x.at(), c.y.at());
    // More blocks than have memory of their own: some come where others have been.
    launch(c.a, "block_sum", block_sum<true>, {9, 32}, c.x.at(), c.y.at());
    launch(c.a, "two_sums", two_sums<true>, {1, 128}, c.y.at());
    launch(c.a, "after_a_shuffle", after_a_shuffle<true>, {1, 32}, c.y.at());
    c.finish();
    CHECK(c.y.get(0, 1)[0] == 5);
}
TEST_CASE("race: no barrier", "[.race]") {
    Case c;
    launch(c.a, "block_sum", block_sum<false>, {1, 128}, c.x.at(), c.y.at());
    c.finish();
}
TEST_CASE("race: next sum too early", "[.race]") {
    Case c;
    launch(c.a, "two_sums", two_sums<false>, {1, 128}, c.y.at());
    c.finish();
}
TEST_CASE("race: after a shuffle", "[.race]") {
    Case c;
    launch(c.a, "after_a_shuffle", after_a_shuffle<false>, {1, 32}, c.y.at());
    c.finish();
}
TEST_CASE("race: two blocks", "[.race]") {
    Case c;
    launch(c.a, "one_address", one_address, {4, 32}, c.y.at());
    c.finish();
}
TEST_CASE("race: no event", "[.race]") { Case{}.two_streams(false); }
TEST_CASE("race: none with an event", "[.race]") { Case{}.two_streams(true); }
TEST_CASE("race: no edge", "[.race]") { Case{}.graph(false); }
TEST_CASE("race: none with an edge", "[.race]") { Case{}.graph(true); }

void finds(const std::string& test, const std::string& line) {
    for (const char* order : {"0", "1"}) {
        const Ended end = run_alone("race: " + test, order);
        INFO(test << ", order " << order);
        CHECK_THAT(end.text, contains_text("WARNING: ThreadSanitizer: data race"));
        CHECK_THAT(end.text, contains_text(line));
        CHECK(end.code != 0);
    }
}

}  // namespace

TEST_CASE("races: what is right is silent", "[races]") {
    for (const char* test : {"none with a barrier", "none with an event", "none with an edge"}) {
        const Ended end = run_alone(std::string("race: ") + test);
        INFO(end.text);
        CHECK(end.code == 0);
        CHECK(end.text.find("ThreadSanitizer") == std::string::npos);
    }
}
TEST_CASE("races: what is wrong is found with its line", "[races]") {
    finds("no barrier", line_with("block_sum", "sum += part"));
    finds("next sum too early", line_with("two_sums", "part[threadIdx.x / 32] ="));
    finds("after a shuffle", line_with("after_a_shuffle", "= shared[0]"));
    finds("two blocks", line_with("one_address", "y[0] ="));
    finds("no event", line_with("increment", "x[0] += 1"));
    finds("no edge", line_with("increment", "x[0] += 1"));
}

}  // namespace plumb::test
#endif
