// Counts what kernels read and write of device memory. They are compiled as for ThreadSanitizer,
// which has a function called at every access to memory; the functions are ours (traffic.cpp).
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace plumb::test {

// What is watched.
struct Watched {
    std::string name;
    const std::byte *begin, *end;
};

struct Bytes {
    double read = 0, written = 0;
};

// From now on, until traffic(). Ranges do not overlap.
void watch(std::vector<Watched> ranges);
// By name of the range: bytes of the kernels that have run. What the lanes of a warp read of one
// address, or write, is moved as often as the lane does so that does it most: a number for all of
// them once.
std::map<std::string, Bytes> traffic();

}  // namespace plumb::test
