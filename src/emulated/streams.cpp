#include "emulated/streams.h"

#include "emulated/error.h"
#include "emulated/memory.h"
#include "emulated/order.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <utility>

namespace emulated {
namespace {

std::vector<cudaStream_t> all;
std::uint64_t turns = 0;

bool is_stream(cudaStream_t s) { return std::find(all.begin(), all.end(), s) != all.end(); }
cudaError_t no_stream(cudaStream_t s, const char* call) {
    return report(cudaErrorInvalidResourceHandle,
                  std::string(call) + (s ? ": the stream does not exist"
                                         : ": the default stream orders work in ways that nobody "
                                           "sees; name a stream (cudaStreamCreate)"));
}
bool can_begin(const Work& w) { return !w.wait || w.wait->happened >= w.count; }

void run_next(cudaStream_t s) {
    Work next = std::move(s->queue.front());
    s->queue.pop_front();
    s->timeline.run([&] {
        races::acquire(&s->submitted);
        const Work work = std::move(next);  // ends here, on this timeline
        if (work.wait) races::acquire(work.wait);
        if (work.run && !failed()) work.run();
        if (work.record) races::release(work.record), ++work.record->happened;
        races::release(&s->finished);
    });
}

// Until `done` says so, or nothing is left.
template <class Done>
void run_until(Done&& done) {
    Order order(emulated::order(), ++turns);
    open_memory(true);
    while (!done()) {
        std::vector<cudaStream_t> ready;
        bool left = false;
        for (cudaStream_t s : all) {
            left |= !s->queue.empty();
            if (!s->queue.empty() && can_begin(s->queue.front())) ready.push_back(s);
        }
        if (left && ready.empty())
            report(cudaErrorLaunchFailure, "streams wait for events that will never happen");
        if (ready.empty()) break;
        run_next(ready[order.below(ready.size())]);
    }
    open_memory(false);
}
cudaError_t outcome() { return failed() ? cudaErrorLaunchFailure : cudaSuccess; }

}  // namespace

const std::vector<cudaStream_t>& streams() { return all; }

cudaError_t enqueue(cudaStream_t s, std::function<void()> run) {
    if (!is_stream(s)) return no_stream(s, "work");
    if (failed()) return cudaErrorLaunchFailure;
    if (s->capture) {
        s->capture->add(s, std::move(run));
        return cudaSuccess;
    }
    races::release(&s->submitted);
    s->queue.push_back({std::move(run)});
    return cudaSuccess;
}
void run_all() {
    run_until([] { return false; });
    for (cudaStream_t s : all) races::acquire(&s->finished);
}
cudaError_t forbidden_in_capture(const char* call) {
    bool captured = false;
    for (cudaStream_t s : all)
        if (s->capture) s->capture->broken = captured = true;
    if (!captured) return cudaSuccess;
    return report(cudaErrorStreamCaptureUnsupported,
                  std::string(call) + " while a stream is captured");
}

}  // namespace emulated

// ---- calls of the runtime -----------------------------------------------------------------------

using namespace emulated;

cudaError_t cudaStreamCreate(cudaStream_t* s) {
    *s = new CUstream_st;
    all.push_back(*s);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    if (!is_stream(s)) return no_stream(s, "cudaStreamDestroy");
    run_until([&] { return s->queue.empty(); });
    std::erase(all, s);
    delete s;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (!is_stream(s)) return no_stream(s, "cudaStreamSynchronize");
    if (const cudaError_t e = forbidden_in_capture("cudaStreamSynchronize")) return e;
    run_until([&] { return s->queue.empty(); });
    races::acquire(&s->finished);
    return outcome();
}
cudaError_t cudaDeviceSynchronize() {
    if (const cudaError_t e = forbidden_in_capture("cudaDeviceSynchronize")) return e;
    run_all();
    return outcome();
}

cudaError_t cudaEventCreate(cudaEvent_t* e) {
    *e = new CUevent_st;
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return cudaEventCreate(e); }
cudaError_t cudaEventDestroy(cudaEvent_t e) {
    run_all();
    delete e;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    if (!is_stream(s)) return no_stream(s, "cudaEventRecord");
    e->captured = s->capture != nullptr;
    if (e->captured) {
        e->capture = s->capture, e->node = s->capture->last_of(s);
        return cudaSuccess;
    }
    ++e->recorded;
    races::release(&s->submitted);
    s->queue.push_back({{}, nullptr, e});
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e) {
    if (e->happened < e->recorded) return cudaErrorNotReady;
    races::acquire(e);
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    if (const cudaError_t f = forbidden_in_capture("cudaEventSynchronize")) return f;
    run_until([e, times = e->recorded] { return e->happened >= times; });
    races::acquire(e);
    return outcome();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    if (!is_stream(s)) return no_stream(s, "cudaStreamWaitEvent");
    if (e->captured) {
        const auto capture = e->capture.lock();
        if (!capture || (s->capture && s->capture != capture))
            return report(
                cudaErrorStreamCaptureIsolation,
                "cudaStreamWaitEvent: the event is of another capture, or one that ended");
        if (capture->broken) return cudaErrorStreamCaptureInvalidated;
        s->capture = capture;  // which the stream is part of from here on
        capture->add(s, {}, e->node);
        return cudaSuccess;
    }
    if (s->capture)
        return report(cudaErrorStreamCaptureIsolation,
                      "cudaStreamWaitEvent: the event was recorded outside of the capture");
    races::release(&s->submitted);
    s->queue.push_back({{}, e, nullptr, e->recorded});
    return cudaSuccess;
}
