// What a rule may ask of the memory of streams (streams.h): how many there are, and dot products at
// reads: of each row with itself, with ones, with the same m vectors of parameters; or of all rows
// laid end to end, with themselves and with vectors of K*C.
#pragma once

#include "mixers/mixer_config.h"
#include "mixers/rule.h"

#include <array>

namespace plumb {

inline constexpr int kMaxStreams = 8;

MixerOption streams_option();

// A rule's dots at a site: where number u has what.
struct StreamDots {
    static constexpr int kMostVectors = 80;
    using Places = std::array<int, kMaxStreams>;  // of each stream; all may be in one

    int n = 0;                // numbers u
    int m = 0;                // vectors of parameters, of C numbers for each stream alike ...
    bool end_to_end = false;  // ... or of K*C
    Places square, sum;       // <x, x>, <x, 1>; -1: not asked for
    Places projection;        // <x, w_0>, ..., <x, w_{m-1}>
    std::vector<std::array<int, 2>> totals;  // (u, vector): <1, w>, of no token

    StreamDots() { square.fill(-1), sum.fill(-1), projection.fill(0); }
    StreamDots(const Dots& dots, int streams);
};

}  // namespace plumb
