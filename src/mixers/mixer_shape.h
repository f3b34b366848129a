// What a depth mixer is made for.
#pragma once

#include "core/view.h"

namespace plumb {

struct MixerShape {
    int sublayers;    // L
    Index tokens;     // N
    Index channels;   // C
    double norm_eps;  // epsilon of the norms inside the mixer
};

}  // namespace plumb
