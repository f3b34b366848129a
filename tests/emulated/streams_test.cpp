// Order between streams: by events and by what the host waits for, else by the seed.
#include "catch.h"
#include "emulated/planted.h"

#include <cmath>
#include <set>

namespace plumb::test {
namespace {

struct Two {  // streams, and an event
    cudaStream_t a = nullptr, b = nullptr;
    cudaEvent_t e = nullptr;
    Two() {
        check(cudaStreamCreate(&a), "stream"), check(cudaStreamCreate(&b), "stream");
        check(cudaEventCreate(&e), "event");
    }
    ~Two() {
        (void)cudaEventDestroy(e);
        (void)cudaStreamDestroy(a), (void)cudaStreamDestroy(b);
    }
    void b_after_a() {
        check(cudaEventRecord(e, a), "record");
        check(cudaStreamWaitEvent(b, e), "wait");
    }
    void a_after_b() {
        check(cudaEventRecord(e, b), "record");
        check(cudaStreamWaitEvent(a, e), "wait");
    }
};

// y[0] after a sum of 128 in one stream and an increment in another, by order.
std::set<double> results(bool event) {
    std::set<double> seen;
    for (std::uint64_t order = 1; order <= 12; ++order) {
        emulated::set_order(order);
        Two s;
        Buffer<float> x(ones(128)), y(ones(128));
        launch(s.a, "block_sum", block_sum<true>, {1, 128}, x.at(), y.at());
        if (event) s.b_after_a();
        launch(s.b, "increment", increment, {1, 1}, y.at());
        check(cudaDeviceSynchronize(), "synchronise");
        seen.insert(y.get(0, 1)[0]);
    }
    return seen;
}

// a: block_sum; b: increment; a: increment.
cudaError_t capture(Two& s, const Buffer<float>& x, const Buffer<float>& y, bool fork, bool join,
                    cudaGraph_t* graph) {
    check(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeThreadLocal), "begin");
    if (!fork) s.b_after_a();  // before there is anything to come after
    launch(s.a, "block_sum", block_sum<true>, {1, 128}, x.at(), y.at());
    if (fork) s.b_after_a();
    launch(s.b, "increment", increment, {1, 1}, y.at());
    if (join) s.a_after_b();
    launch(s.a, "increment", increment, {1, 1}, y.at());
    return cudaStreamEndCapture(s.a, graph);
}
double replay(cudaGraph_t graph, int times, const Buffer<float>& y) {
    cudaGraphExec_t exec = nullptr;
    check(cudaGraphInstantiate(&exec, graph), "instantiate");
    for (int i = 0; i < times; ++i) check(cudaGraphLaunch(exec, stream()), "launch");
    const double out = y.get(0, 1)[0];
    check(cudaGraphExecDestroy(exec), "destroy");
    check(cudaGraphDestroy(graph), "destroy");
    return out;
}

}  // namespace

TEST_CASE("emulated: an event orders two streams", "[emulated]") {
    CHECK(results(true) == std::set<double>{129});
}
TEST_CASE("emulated: without an event some order shows it", "[emulated][wrong-order]") {
    CHECK(results(false) == std::set<double>{128, 129});
}

TEST_CASE("emulated: work waits until somebody synchronises", "[emulated]") {
    emulated::set_order(1);
    Buffer<float> x(ones(128)), y(128);
    std::vector<float> host(128, 1.0f);
    check(cudaMemcpyAsync(x.at(), host.data(), 512, cudaMemcpyHostToDevice, stream()), "copy");
    host.assign(128, 7.0f);  // too early
    launch(stream(), "block_sum", block_sum<true>, {1, 128}, x.at(), y.at());
    CHECK(y.get(0, 1)[0] == 896);
}

TEST_CASE("emulated: an event is ready when its stream has come there", "[emulated]") {
    emulated::set_order(1);
    Two s;
    CHECK(cudaEventQuery(s.e) == cudaSuccess);  // never recorded
    check(cudaEventRecord(s.e, s.a), "record");
    CHECK(cudaEventQuery(s.e) == cudaErrorNotReady);
    check(cudaEventSynchronize(s.e), "synchronise");
    CHECK(cudaEventQuery(s.e) == cudaSuccess);
}

TEST_CASE("emulated: a graph with a fork and a join is the same in every order", "[emulated]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Two s;
        Buffer<float> x(ones(128)), y(128);
        cudaGraph_t graph = nullptr;
        REQUIRE(capture(s, x, y, true, true, &graph) == cudaSuccess);
        CHECK(std::isnan(y.get(0, 1)[0]));  // nothing has run
        CHECK(replay(graph, 2, y) == 130);
    }
}
TEST_CASE("emulated: a graph that lacks an edge differs by order", "[emulated][wrong-order]") {
    std::set<double> seen;
    for (std::uint64_t order = 1; order <= 12; ++order) {
        emulated::set_order(order);
        Two s;
        Buffer<float> x(ones(128)), y(128);
        cudaGraph_t graph = nullptr;
        REQUIRE(capture(s, x, y, false, true, &graph) == cudaSuccess);
        seen.insert(replay(graph, 1, y));
    }
    CHECK(seen.size() > 1);
}

TEST_CASE("emulated: a forked stream is part of the capture as long as it lasts", "[emulated]") {
    emulated::set_order(1);
    Two s;
    Buffer<float> y(ones(1));
    cudaGraph_t graph = nullptr;
    for (const bool unjoined : {true, false}) {
        check(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeThreadLocal), "begin");
        s.b_after_a();
        launch(s.b, "increment", increment, {1, 1}, y.at());
        CHECK(cudaStreamBeginCapture(s.b, cudaStreamCaptureModeThreadLocal) ==
              cudaErrorStreamCaptureUnsupported);
        CHECK(cudaStreamEndCapture(s.b, &graph) == cudaErrorStreamCaptureUnmatched);
        CHECK_THAT(emulated::take_error(), contains_text("one that is captured"));
        if (unjoined) {
            CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureUnjoined);
            CHECK_THAT(emulated::take_error(), contains_text("not joined"));
        } else {
            s.a_after_b();
            REQUIRE(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
        }
    }
    launch(s.b, "increment", increment, {1, 1}, y.at());  // now, and not into the graph
    check(cudaStreamSynchronize(s.b), "synchronise");
    CHECK(y.get(0, 1)[0] == 2);
    CHECK(replay(graph, 3, y) == 5);
}

TEST_CASE("emulated: what a capture does not allow", "[emulated]") {
    emulated::set_order(1);
    Two s;
    Buffer<float> x(ones(128)), y(128);
    cudaGraph_t graph = nullptr;
    CHECK(capture(s, x, y, true, false, &graph) == cudaErrorStreamCaptureUnjoined);
    CHECK_THAT(emulated::take_error(), contains_text("not joined"));
    const auto begin = [&] {
        check(cudaStreamBeginCapture(s.a, cudaStreamCaptureModeGlobal), "begin");
    };
    begin();
    void* p = nullptr;
    CHECK(cudaMalloc(&p, 64) == cudaErrorStreamCaptureUnsupported);
    CHECK_THAT(emulated::take_error(), contains_text("cudaMalloc while a stream is captured"));
    check(cudaEventRecord(s.e, s.a), "record");
    CHECK(cudaStreamWaitEvent(s.b, s.e) == cudaErrorStreamCaptureInvalidated);
    CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
    begin();
    CHECK(cudaStreamSynchronize(s.b) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(s.a, &graph) == cudaErrorStreamCaptureInvalidated);
    emulated::take_error();
    check(cudaEventRecord(s.e, s.b), "record");
    begin();
    CHECK(cudaStreamWaitEvent(s.a, s.e) == cudaErrorStreamCaptureIsolation);
    check(cudaEventRecord(s.e, s.a), "record");
    CHECK(cudaStreamEndCapture(s.a, &graph) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(s.b, s.e) == cudaErrorStreamCaptureIsolation);  // it has ended
    check(cudaGraphDestroy(graph), "destroy");
    emulated::take_error();
}

}  // namespace plumb::test
