// Streams and events. Work waits in its stream until the host synchronises with something: then
// streams take turns, in the order of the seed, as far as events allow, until that has happened.
#pragma once

#include "emulated/device.h"
#include "emulated/graph.h"
#include "emulated/races.h"

#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace emulated {

// What runs one thing after the other: a thread of its own to the race detector.
class Timeline {
public:
    Timeline() : number_(made++), fiber_(races::new_fiber()) {}
    template <class F>
    void run(F&& f) {
        void* const before = races::this_fiber();
        const int outer = current;
        races::to_fiber(fiber_), current = number_;
        f();
        races::to_fiber(before), current = outer;
    }
    static inline int current = 0;

private:
    static inline int made = 0;
    int number_;
    void* fiber_;
};

struct Work {
    std::function<void()> run{};
    cudaEvent_t wait = nullptr;    // begins when this has happened `count` times
    cudaEvent_t record = nullptr;  // happens once more after it
    std::uint64_t count = 0;
};

cudaError_t enqueue(cudaStream_t stream, std::function<void()> run);
void run_all();
// An error, which the capture remembers, if a stream is captured.
cudaError_t forbidden_in_capture(const char* call);
void run_grid(const Launch& launch);
const std::vector<cudaStream_t>& streams();

}  // namespace emulated

struct CUstream_st {
    std::deque<emulated::Work> queue{};
    std::shared_ptr<emulated::Capture> capture{};
    emulated::Timeline timeline{};
    char submitted = 0, finished = 0;  // what the stream comes after, and what after it (races.h)
};
struct CUevent_st {
    std::uint64_t recorded = 0, happened = 0;
    std::weak_ptr<emulated::Capture> capture{};  // the last record was captured there,
    bool captured = false;
    std::size_t node = emulated::kNoNode;  // after this node
};
