// Names of the places along depth, shared by parameters, records and errors.
#pragma once

#include <string>

namespace plumb {

// Sublayer l of L: "layer.1.attn" for l = 3, "layer.1.mlp" for l = 4; "embed" for l = 0 and
// "output" for l = L+1, what the final norm reads.
std::string site_name(int l, int sublayers);

// What a way in which an attention reads is for (depth_mixer.h): "q", "k", "v" for 0, 1, 2.
const char* way_name(int way);

}  // namespace plumb
