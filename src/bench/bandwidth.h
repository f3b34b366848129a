// How fast this machine streams over memory, by how much memory it is.
#pragma once

#include "core/context.h"

#include <vector>

namespace plumb {

// Bytes per second of a[i] = b[i] + s a[i] over two arrays of `bytes` together, two reads and a
// write counted, best of several passes. In place: a write to memory that was not read costs a read
// that nobody counts.
double measure_bandwidth(const Context& ctx, double bytes);

struct Bandwidth {
    double bytes, rate;  // working set, bytes per second
};

// Rates for the usual sizes: first-level cache to memory.
std::vector<Bandwidth> measure_bandwidths(const Context& ctx);
// The rate for a working set: between the two nearest sizes (ascending), linear in their logarithm.
double rate_for(const std::vector<Bandwidth>& measured, double bytes);

}  // namespace plumb
