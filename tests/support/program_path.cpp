#include "support/run_program.h"

namespace plumb::test {

const char* program_path() { return PLUMB_BINARY; }

}  // namespace plumb::test
