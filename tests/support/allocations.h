// Counts calls of operator new in the whole program, between start and stop.
#pragma once

#include <string>

namespace plumb::test {

struct Allocations {
    long ours = 0;      // made by this program
    long onednn = 0;    // with a function of oneDNN on the stack
    std::string where;  // object and offset of the first of ours, for addr2line
};

void start_counting();
Allocations stop_counting();

}  // namespace plumb::test
