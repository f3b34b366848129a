#include "emulated/graph.h"

#include "emulated/error.h"
#include "emulated/order.h"
#include "emulated/streams.h"

#include <cuda_runtime.h>

#include <algorithm>

namespace emulated {
namespace {

std::uint64_t replays = 0;

// Nodes in any order that the edges allow.
void replay(Replayed& graph) {
    static std::vector<Timeline> timelines(16);
    const std::size_t n = graph.nodes.size();
    std::vector<std::size_t> missing(n), ready;
    std::vector<std::vector<std::size_t>> next(n);
    for (std::size_t k = 0; k < n; ++k) {
        missing[k] = graph.nodes[k].after.size();
        for (const std::size_t before : graph.nodes[k].after) next[before].push_back(k);
        if (missing[k] == 0) ready.push_back(k);
    }
    Order order(emulated::order(), ++replays);
    races::release(&graph.begun);
    while (!ready.empty() && !failed()) {
        const auto pick = ready.begin() + static_cast<std::ptrdiff_t>(order.below(ready.size()));
        const std::size_t k = *pick;
        ready.erase(pick);
        timelines[k % timelines.size()].run([&] {
            const Node& node = graph.nodes[k];
            races::acquire(&graph.begun);
            for (const std::size_t before : node.after) races::acquire(&graph.tags[before]);
            if (node.run) node.run();
            races::release(&graph.tags[k]);
        });
        for (const std::size_t m : next[k])
            if (--missing[m] == 0) ready.push_back(m);
    }
    for (char& tag : graph.tags) races::acquire(&tag);
}

}  // namespace

std::uint64_t graph_replays() { return replays; }

bool Capture::joined() const {
    std::vector<bool> before(nodes.size());
    std::vector<std::size_t> todo;
    if (last_of(origin) != kNoNode) todo.push_back(last_of(origin));
    while (!todo.empty()) {
        const std::size_t k = todo.back();
        todo.pop_back();
        if (before[k]) continue;
        before[k] = true;
        todo.insert(todo.end(), nodes[k].after.begin(), nodes[k].after.end());
    }
    return std::find(before.begin(), before.end(), false) == before.end();
}

}  // namespace emulated

// ---- calls of the runtime -----------------------------------------------------------------------

using namespace emulated;

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
    if (!s || s->capture)
        return report(cudaErrorStreamCaptureUnsupported,
                      "cudaStreamBeginCapture: of the default stream, or of one that is captured");
    s->capture = std::make_shared<Capture>(Capture{s});
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* out) {
    const std::shared_ptr<Capture> capture = s->capture;
    *out = nullptr;
    if (!capture)
        return report(cudaErrorInvalidValue, "cudaStreamEndCapture: the stream is not captured");
    if (capture->origin != s)
        return report(cudaErrorStreamCaptureUnmatched,
                      "cudaStreamEndCapture: the capture began in another stream");
    for (cudaStream_t other : streams())
        if (other->capture == capture) other->capture = nullptr;
    if (capture->broken) return cudaErrorStreamCaptureInvalidated;
    if (!capture->joined())
        return report(cudaErrorStreamCaptureUnjoined,
                      "cudaStreamEndCapture: work of another stream was not joined by an event");
    *out = new CUgraph_st{capture->nodes};
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
    *out = new CUgraphExec_st{std::make_shared<Replayed>(graph->nodes)};
    return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t made, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo*) {
    const auto& old = made->replayed->nodes;
    const auto alike = [](const Node& a, const Node& b) { return a.after == b.after; };
    if (!std::equal(old.begin(), old.end(), graph->nodes.begin(), graph->nodes.end(), alike))
        return cudaErrorGraphExecUpdateFailure;
    made->replayed = std::make_shared<Replayed>(graph->nodes);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t s) {
    return enqueue(s, [launched = graph->replayed] { replay(*launched); });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    return cudaSuccess;
}
