// What a rule may ask of the memory of streams (streams.h): how many there are, and dot products at
// reads: of each row with itself, with ones, with the same m vectors of parameters; or of all rows
// laid end to end, with themselves and with vectors of K*C.
#pragma once

#include "mixers/mixer_config.h"
#include "mixers/site_params.h"

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

// Numbers a token that a rule's read and write at a site come to: c (K), A (K, K+1), at L+1 c
// alone.
inline int stream_scalars(const Rule& rule, int l) {
    return rule.rows(l) * (l > rule.sublayers() ? 1 : rule.rows(l) + 2);
}

// A rule's site, as the memories of streams run it.
template <class Real>
struct StreamSite {
    StreamDots dots;
    SiteParams<Real> params;
    int n_numbers;
    ScalarProgram program;  // u, numbers -> [c | A]

    // Throws InternalError for a rule that streams do not carry.
    StreamSite(const Rule& rule, int l);
};

}  // namespace plumb
