// gpu::beside and join: a second stream for a while, asked as it stands and within a graph.
#include "catch.h"
#include "core/device_memory.h"
#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "core/launch.h"
#include "emulated/device.h"
#include "support/environment.h"

#include <set>
#include <stdexcept>

namespace plumb::test {
namespace {

__global__ void times_and_more(double* x, double factor, double more) { *x = *x * factor + more; }

void change(const DeviceArray<double>& x, double factor, double more) {
    gpu::launch(gpu::stream(), "times_and_more", times_and_more, {1, 1}, x.view().data, factor,
                more);
}
// x = 3; beside: x = 5 x; then x = x + 7.
void three_in_turn(const DeviceArray<double>& x, bool joined) {
    change(x, 0, 3);
    gpu::beside([&] { change(x, 5, 0); });
    if (joined) gpu::join();
    change(x, 1, 7);
}

// What x becomes, by order of streams.
template <class F>
std::set<double> outcomes(F&& f) {
    const std::uint64_t before = emulated::order();
    std::set<double> seen;
    for (std::uint64_t order = 0; order < 12; ++order) {
        emulated::set_order(order);
        const DeviceArray<double> x(1, Device::cuda);
        f(x);
        seen.insert(x.fetch()[0]);
    }
    emulated::set_order(before);
    return seen;
}

}  // namespace

TEST_CASE("beside: after what came before, and until join() in any order with what follows",
          "[beside]") {
    CHECK(outcomes([](const auto& x) { three_in_turn(x, true); }) == std::set<double>{22});
    CHECK(outcomes([](const auto& x) { three_in_turn(x, false); }) == std::set<double>{22, 50});
}

TEST_CASE("beside: again and again, all joined at once", "[beside]") {
    const auto twice = [](const DeviceArray<double>& x) {
        for (int i = 0; i < 3; ++i) {
            gpu::beside([&] { change(x, 2, 1); });
            gpu::beside([&] { gpu::beside([&] { change(x, 3, 0); }); });
            gpu::join(), gpu::join();
            change(x, 1, -1);
        }
    };
    CHECK(outcomes(twice) == std::set<double>{86});
}

TEST_CASE("beside: in its turn with PLUMB_SIDE=0", "[beside]") {
    const Environment off("PLUMB_SIDE", "0");
    CHECK(outcomes([](const auto& x) { three_in_turn(x, false); }) == std::set<double>{22});
}

TEST_CASE("beside: copies and wait() join", "[beside]") {
    const auto put_after = [](const DeviceArray<double>& x) {
        gpu::beside([&] { change(x, 0, 4); });
        const double six = 6;
        put(x.view(), &six);
    };
    CHECK(outcomes(put_after) == std::set<double>{6});
    const auto change_after = [](const DeviceArray<double>& x) {
        gpu::beside([&] { change(x, 0, 4); });
        gpu::wait();
        change(x, 1, 1);
    };
    CHECK(outcomes(change_after) == std::set<double>{5});
}

TEST_CASE("beside: in a graph, the same in every order", "[beside][graph]") {
    const auto graphs = [](const DeviceArray<double>& x) {
        gpu::Graph graph;
        const auto before = emulated::graph_replays();
        for (int i = 0; i < 4; ++i)
            graph.run([&] {
                change(x, 1, i);
                gpu::beside([&] { change(x, 2, 0); });
                gpu::join();
                change(x, 1, 1);
            });
        gpu::wait();
        CHECK(emulated::graph_replays() - before == 3);
    };
    CHECK(outcomes(graphs) == std::set<double>{37});
}

TEST_CASE("beside: a graph that lacks the join is refused, and the next one is right",
          "[beside][graph]") {
    const DeviceArray<double> x(1, Device::cuda);
    gpu::Graph graph;
    graph.run([&] { three_in_turn(x, true); });
    CHECK_THROWS_WITH(graph.run([&] { three_in_turn(x, false); }),
                      contains_text("streams that were not joined"));
    emulated::take_error();
    graph.run([&] { three_in_turn(x, true); });
    CHECK(x.fetch()[0] == 22);
}

TEST_CASE("beside: what fails there passes through, and leaves streams as they were",
          "[beside][graph]") {
    const auto fails = [] { gpu::beside([] { throw std::runtime_error("mine"); }); };
    const cudaStream_t before = gpu::stream();
    CHECK_THROWS_WITH(fails(), "mine");
    CHECK(gpu::stream() == before);
    const DeviceArray<double> x(1, Device::cuda);
    gpu::Graph graph;
    graph.run([&] { change(x, 1, 1); });
    CHECK_THROWS_WITH(graph.run(fails), "mine");
    emulated::take_error();  // that it was not joined
    graph.run([&] { three_in_turn(x, true); });
    CHECK(gpu::stream() == before);
    CHECK(x.fetch()[0] == 22);
}

}  // namespace plumb::test
