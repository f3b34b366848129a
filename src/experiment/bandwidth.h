// How fast this machine streams over memory, by how much memory it is.
#pragma once

#include "core/context.h"

#include <vector>

namespace plumb {

// Bytes per second of a[i] = b[i] + s c[i] over three arrays of `bytes` together, all counted once,
// best of several passes.
double measure_bandwidth(const Context& ctx, double bytes);

struct Bandwidth {
    double bytes, rate;  // working set, bytes per second
};

// Rates for the usual sizes: first-level cache to memory.
std::vector<Bandwidth> measure_bandwidths(const Context& ctx);
// The rate for a working set: between the two nearest sizes (ascending), linear in their logarithm.
double rate_for(const std::vector<Bandwidth>& measured, double bytes);

}  // namespace plumb
