#include "support/run_program.h"

namespace plumb::test {

// The program that has kernels.
const char* program_path() { return PLUMB_DEVICE_BINARY; }

}  // namespace plumb::test
