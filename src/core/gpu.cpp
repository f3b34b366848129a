#include "core/gpu.h"

#include "core/check.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>

#ifdef PLUMB_HAVE_CUDA
#include "core/gpu_stream.h"
#include "core/launch.h"
#endif

namespace plumb::gpu {

bool is_emulated() { return std::string(version()) == "emulated"; }

#ifdef PLUMB_HAVE_CUDA

const char* version() { return PLUMB_CUDA_VERSION; }

std::string devices() {
    std::string text;
    int n = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess) return text;
    for (int i = 0; i < n; ++i) {
        cudaDeviceProp p{};
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
        text += fmt::format("{}{} ({:.1f} GiB)", i ? "\n" : "", p.name,
                            static_cast<double>(p.totalGlobalMem) / (1 << 30));
    }
    return text;
}

void require_device() {
    int n = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver || e == cudaErrorNoDevice || (e == cudaSuccess && n == 0))
        throw UsageError(
            "--device cuda: no NVIDIA GPU with a driver that fits was found "
            "(nvidia-smi shows both); --device cpu computes without one");
    check(e, "cudaGetDeviceCount");
}

namespace {

cudaStream_t new_stream() {
    cudaStream_t made = nullptr;
    check(cudaStreamCreate(&made), "cudaStreamCreate");
    return made;
}
cudaEvent_t new_event() {
    cudaEvent_t made = nullptr;
    check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreate");
    return made;
}

bool is_off(const char* variable) {
    const char* text = std::getenv(variable);
    return waits_for_every_launch() || (text && std::string(text) == "0");
}

struct Side {
    cudaStream_t stream = new_stream();
    cudaEvent_t before = new_event(), after = new_event();  // what it is asked
};
Side& side() {
    static Side all;
    return all;
}
bool asks_beside = false, is_forked = false;  // now; and not joined

}  // namespace

cudaStream_t stream() {
    static const cudaStream_t first = new_stream();
    return asks_beside ? side().stream : first;
}

void beside(const std::function<void()>& ask) {
    if (asks_beside || is_off("PLUMB_SIDE")) return ask();
    Side& s = side();
    check(cudaEventRecord(s.before, stream()), "what runs beside");
    check(cudaStreamWaitEvent(s.stream, s.before, 0), "what runs beside");
    is_forked = asks_beside = true;
    try {
        ask();
    } catch (...) {
        asks_beside = false;
        throw;
    }
    asks_beside = false;
}

void join() {
    if (!is_forked || asks_beside) return;
    is_forked = false;
    Side& s = side();
    check(cudaEventRecord(s.after, s.stream), "what ran beside");
    check(cudaStreamWaitEvent(stream(), s.after, 0), "what ran beside");
}

std::byte* allocate(std::size_t bytes) {
    void* p = nullptr;
    const cudaError_t e = cudaMalloc(&p, bytes > 0 ? bytes : 1);
    if (e == cudaErrorMemoryAllocation)
        throw UsageError(
            fmt::format("the GPU has no {:.1f} MiB left; plumb train --dry-run shows "
                        "what is needed: try a smaller train.batch",
                        static_cast<double>(bytes) / (1 << 20)));
    check(e, "cudaMalloc");
    fill(p, 0, bytes);
    return static_cast<std::byte*>(p);
}

void free(std::byte* p) noexcept { (void)cudaFree(p); }

void copy_to_device(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    join();
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "copy to the device");
    check(cudaStreamSynchronize(stream()), "copy to the device");
}

void copy_to_host(void* to, const void* from, std::size_t bytes) {
    join();
    if (bytes > 0)
        check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()),
              "copy from the device");
    check(cudaStreamSynchronize(stream()), "copy from the device");
}

void wait() {
    join();
    check(cudaStreamSynchronize(stream()), "the device");
}

void fill(void* p, int value, std::size_t bytes) {
    if (bytes > 0) check(cudaMemsetAsync(p, value, bytes, stream()), "cudaMemset");
}

Marks::~Marks() {
    for (void* event : events_) (void)cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void Marks::mark() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "cudaEventCreate");
    events_.push_back(event);
    check(cudaEventRecord(event, stream()), "cudaEventRecord");
}

std::vector<double> Marks::seconds() const {
    wait();
    std::vector<double> all;
    for (std::size_t i = 1; i < events_.size(); ++i) {
        float ms = std::nanf("");
#ifndef PLUMB_EMULATED_CUDA
        check(cudaEventElapsedTime(&ms, static_cast<cudaEvent_t>(events_[i - 1]),
                                   static_cast<cudaEvent_t>(events_[i])),
              "cudaEventElapsedTime");
#endif
        all.push_back(1e-3 * static_cast<double>(ms));
    }
    return all;
}

namespace {

// What ask() asks, not done. The caller owns it.
cudaGraph_t written_down(const std::function<void()>& ask) {
    cudaGraph_t graph = nullptr;
    join();
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "a CUDA graph");
    try {
        ask();
    } catch (...) {
        (void)cudaStreamEndCapture(stream(), &graph);
        if (graph) (void)cudaGraphDestroy(graph);
        is_forked = false;  // with what was written down
        throw;
    }
    const cudaError_t e = cudaStreamEndCapture(stream(), &graph);
    is_forked = false;
    check(e, "a CUDA graph (PLUMB_GRAPH=0 does without)");
    return graph;
}

}  // namespace

Graph::~Graph() {
    if (made_) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(made_));
}

void Graph::run(const std::function<void()>& ask) {
    if (!asked_ || is_off("PLUMB_GRAPH")) {
        ask();
        asked_ = true;
        return;
    }
    const std::unique_ptr<CUgraph_st, cudaError_t (*)(cudaGraph_t)> graph(written_down(ask),
                                                                          cudaGraphDestroy);
    auto made = static_cast<cudaGraphExec_t>(made_);
    cudaGraphExecUpdateResultInfo result{};
    if (made && cudaGraphExecUpdate(made, graph.get(), &result) != cudaSuccess) {
        (void)cudaGetLastError();  // another shape of graph: not the device's failure
        made_ = nullptr;
        check(cudaGraphExecDestroy(made), "a CUDA graph");
        made = nullptr;
    }
    if (!made) {
        check(cudaGraphInstantiate(&made, graph.get(), 0), "a CUDA graph");
        made_ = made;
    }
    check(cudaGraphLaunch(made, stream()), "a CUDA graph");
}

#else

namespace {

[[noreturn]] void not_built() {
    throw UsageError(
        "--device cuda: this plumb was built without CUDA; build it where nvcc is found "
        "(cmake -DPLUMB_CUDA=ON), or --device cpu");
}

}  // namespace

const char* version() { return ""; }
std::string devices() { return ""; }
void require_device() { not_built(); }
std::byte* allocate(std::size_t) { not_built(); }
void free(std::byte*) noexcept {}
void beside(const std::function<void()>&) { not_built(); }
void join() {}
void copy_to_device(void*, const void*, std::size_t) { not_built(); }
void copy_to_host(void*, const void*, std::size_t) { not_built(); }
void wait() { not_built(); }
void fill(void*, int, std::size_t) { not_built(); }
Marks::~Marks() = default;
void Marks::mark() { not_built(); }
std::vector<double> Marks::seconds() const { not_built(); }
Graph::~Graph() = default;
void Graph::run(const std::function<void()>&) { not_built(); }

#endif

}  // namespace plumb::gpu
