// Frame: the memory of one pass. It holds every tensor of a Plan and what belongs to the pass on
// the host, and knows the parameters the pass runs with, so that several passes can be between
// forward and backward at once, each in a frame of its own: micro-batches in flight.
#pragma once

#include "core/params.h"
#include "core/plan.h"

namespace plumb {

class Frame {
public:
    // Allocates on the plan's device; all is zero, but scratch with PLUMB_POISON.
    explicit Frame(Plan plan);
    // The store has allocated, outlives the frame and keeps its arrays.
    template <class Real>
    Frame(Plan plan, ParamStore<Real>& params) : Frame(std::move(plan)) {
        const View<Real> values = params.flat_values();
        require(values.count() == params.flat_size(), "parameters before allocate()");
        require(values.device == device(), "parameters are on another device");
        store_ = params.origin();
        values_ = values.data, grads_ = params.flat_grads().data;
    }

    // Empty for a handle that was not declared; InternalError for one of another plan or store.
    template <class T>
    View<T> view(const Tensor<T>& t) const {
        if (!t) return {};
        if (t.origin != plan_.origin()) foreign("tensor");
        return {reinterpret_cast<T*>(base_.get() + t.offset), t.shape, device()};
    }
    template <class Real>
    View<Real> value(const Param<Real>& p) const {
        return slice(p, values_);
    }
    template <class Real>
    View<Real> grad(const Param<Real>& p) const {
        return slice(p, grads_);
    }
    template <class S>
    S& state(const FrameState<S>& s) const {
        if (s.origin != plan_.origin()) foreign("state");
        return *static_cast<S*>(states_[s.index].get());
    }

    Device device() const { return plan_.device(); }
    const Plan& plan() const { return plan_; }
    // Fills every scratch tensor with NaN bytes, so that a missing write is seen.
    void poison();

private:
    template <class Real>
    View<Real> slice(const Param<Real>& p, void* flat) const {
        if (!p) return {};
        if (p.origin != store_) foreign("parameter");
        return {static_cast<Real*>(flat) + p.offset, p.shape, device()};
    }
    [[noreturn, gnu::cold]] static void foreign(const char* what);

    Plan plan_;
    DeviceMemory base_;
    std::vector<std::shared_ptr<void>> states_;
    Origin store_ = 0;
    void *values_ = nullptr, *grads_ = nullptr;
};

}  // namespace plumb
