// Memory of the device: a range of addresses that stays closed to the host but while work runs.
// Every allocation is NaN at first and ends, up to 256 bytes, at a page that nobody may touch; the
// bytes up to there are looked at after all work. Freed addresses are never used again.
#pragma once

#include "emulated/device.h"

#include <string>

namespace emulated {

// Opens or closes all that is allocated.
void open_memory(bool open);
// Whether [p, p + bytes) lies in one allocation that is not freed.
bool is_allocated(const void* p, std::size_t bytes);
// What p is to the allocation next to it: "4 bytes past the end of 512 bytes", "freed".
std::string describe_address(const void* p);
// Reports bytes that were written past the end of an allocation.
void check_ends();

// From here on a bad address ends the program with a message that names kernel and thread.
void catch_bad_addresses();

}  // namespace emulated
