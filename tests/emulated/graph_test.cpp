// gpu::Graph: what is asked again and again, written down and started in one go.
#include "catch.h"
#include "core/device_memory.h"
#include "core/gpu.h"
#include "core/gpu_stream.h"
#include "core/launch.h"
#include "emulated/device.h"
#include "support/environment.h"

#include <stdexcept>

namespace plumb::test {
namespace {

__global__ void raise(double* x, double by) { *x += by; }

void ask(const DeviceArray<double>& x, Index i, double by) {
    gpu::launch(gpu::stream(), "raise", raise, {1, 1}, x.view().data + i, by);
}

}  // namespace

TEST_CASE("graph: what is asked has other arguments each time, waited for or not", "[graph]") {
    for (const bool waits : {true, false}) {
        const DeviceArray<double> x(3, Device::cuda);
        gpu::Graph graph;
        const auto before = emulated::graph_replays();
        for (Index i = 0; i < 9; ++i) {
            graph.run([&] { ask(x, i % 3, static_cast<double>(1 << i)); });
            if (waits) gpu::wait();
        }
        CHECK(x.fetch() == std::vector<double>{1 + 8 + 64, 2 + 16 + 128, 4 + 32 + 256});
        CHECK(emulated::graph_replays() - before == 8);
    }
}

TEST_CASE("graph: another number of kernels takes the place of those before", "[graph]") {
    const DeviceArray<double> x(2, Device::cuda);
    gpu::Graph graph;
    for (const Index n : {1, 2, 2, 1, 0, 2})
        graph.run([&] {
            for (Index i = 0; i < n; ++i) ask(x, i, 1.0);
        });
    CHECK(x.fetch() == std::vector<double>{5, 3});
}

TEST_CASE("graph: PLUMB_GRAPH=0 has all asked as it stands", "[graph]") {
    const Environment off("PLUMB_GRAPH", "0");
    const DeviceArray<double> x(1, Device::cuda);
    gpu::Graph graph;
    const auto before = emulated::graph_replays();
    for (int i = 0; i < 4; ++i) graph.run([&] { ask(x, 0, 2.0); });
    CHECK(x.fetch() == std::vector<double>{8});
    CHECK(emulated::graph_replays() == before);
}

TEST_CASE("graph: what cannot be written down is an error, and what fails passes through",
          "[graph]") {
    const DeviceArray<double> x(1, Device::cuda);
    gpu::Graph graph;
    const auto asks = [&] { ask(x, 0, 1.0); };
    graph.run(asks);
    CHECK_THROWS_AS(graph.run([&] { asks(), throw std::runtime_error("mine"); }),
                    std::runtime_error);
    CHECK_THROWS_WITH(graph.run([&] { asks(), gpu::wait(); }),
                      contains_text("while a stream is captured"));
    emulated::take_error();
    graph.run(asks);
    CHECK(x.fetch() == std::vector<double>{2});  // nothing of what failed was done
}

}  // namespace plumb::test
