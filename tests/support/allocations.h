// Counts calls of operator new in the whole program, between start and stop.
#pragma once

#include <string>

namespace plumb::test {

// AddressSanitizer has an operator new of its own and memory beside the program's: figures of
// memory say nothing under it.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kMemoryIsMeasured = false;
#else
inline constexpr bool kMemoryIsMeasured = true;
#endif

struct Allocations {
    long ours = 0;      // made by this program
    long onednn = 0;    // with a function of oneDNN on the stack
    std::string where;  // object and offset of the first of ours, for addr2line
};

void start_counting();
Allocations stop_counting();

}  // namespace plumb::test
