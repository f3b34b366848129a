// Handles: what a component keeps of what it declared. They are values, good in every frame
// (core/frame.h) of the plan, or with the store, that they come from; a frame throws InternalError
// for any other. ctx(handle) is what it stands for in the frame of a Context.
#pragma once

#include "core/view.h"

namespace plumb {

// Which Plan or ParamStore a handle comes from. No two of a process are alike; 0: none.
using Origin = std::uint32_t;
Origin new_origin();

// Numbers of which every frame has its own: View<T>.
template <class T>
struct Tensor {
    std::size_t offset = 0;  // bytes from a frame's base
    Shape shape;
    Origin origin = 0;
    explicit operator bool() const { return origin != 0; }  // was declared
};

// A thing on the host of which every frame has its own: where a walk is, the masks of a pass. S&.
template <class S>
struct FrameState {
    std::size_t index = 0;
    Origin origin = 0;
};

// Which slice of a ParamStore: for those that know no model (optimizer, checkpoint, probes).
struct ParamId {
    Index index = -1;
    explicit operator bool() const { return index >= 0; }
};

// Learned numbers, and their gradients: a slice of a ParamStore<Real>. All frames share them.
template <class Real>
struct Param {
    ParamId id;
    Index offset = 0;  // numbers from the begin of the flat arrays
    Shape shape;
    Origin origin = 0;
    explicit operator bool() const { return origin != 0; }  // was declared
    operator ParamId() const { return id; }
};

}  // namespace plumb
