// Recorder: listens to a forward and backward pass; never alters them. A null recorder costs one
// branch per site.
#pragma once

#include "core/context.h"

namespace plumb {

enum class Quantity : std::uint8_t {
    output,       // v_l, l = 0..L                       (N, C)
    stream,       // the mixer's state after write(l)    (N, C) or (N, K, C), l = 0..L
    read_input,   // h_l, of the first way, l = 1..L+1   (N, C)
    doutput,      // dLoss/dv_l, l = 0..L                (N, C)
    dread_input,  // dLoss/dh_l, of the first way, through sublayer l alone (N, C), l = 1..L+1
};

template <class Real>
class Recorder {
public:
    virtual ~Recorder() = default;
    // The view is of the host's memory, valid during the call only, and so is the context.
    virtual void tensor(const Context& ctx, Quantity what, int l, View<const Real> x) = 0;
};

}  // namespace plumb
