// What a depth mixer is made for.
#pragma once

#include "core/view.h"
#include "mixers/layout.h"

namespace plumb {

struct MixerShape {
    Layout layout;
    Index tokens;                                         // N
    Index channels;                                       // C
    double norm_eps;                                      // epsilon of the norms inside the mixer
    Device device = Device::cpu;                          // which memories are for it
    int sublayers() const { return layout.sublayers(); }  // L
};

}  // namespace plumb
