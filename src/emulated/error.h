// The first thing that went wrong on the device: kept until somebody asks for it (take_error).
#pragma once

#include "emulated/types.h"

#include <source_location>
#include <string>

namespace emulated {

cudaError_t report(cudaError_t e, const std::string& what);  // returns e
bool failed();
std::string file_and_line(std::source_location at);

}  // namespace emulated
