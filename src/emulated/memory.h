// Memory of the device: a range of addresses that stays closed to the host. While work runs, an
// allocation opens when it is touched. Every one is NaN at first and ends, up to 256 bytes, at a
// page that nobody may touch; the bytes up to there are looked at after work that touched it. Freed
// addresses are never used again.
#pragma once

#include "emulated/device.h"

#include <string>

namespace emulated {

// Whether what is touched opens; false closes what is open.
void open_memory(bool open);
// Opens the allocation that p is in, if it is one that opens.
bool open_at(const void* p);
// Whether [p, p + bytes) lies in one allocation that is not freed.
bool is_allocated(const void* p, std::size_t bytes);
// What p is to the allocation next to it: "4 bytes past the end of 512 bytes", "freed".
std::string describe_address(const void* p);
// From here on what faults opens, or a bad address ends the program with a message that names
// kernel and thread. Again whenever memory opens: test frameworks catch faults as well.
void catch_faults();

}  // namespace emulated
