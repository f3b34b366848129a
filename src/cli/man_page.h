// The manual page of plumb, from the same description as its --help.
#pragma once

#include "cli/command_doc.h"

#include <string>

namespace plumb {

// plumb(1) in troff's man macros: subcommands with their options, settings, exit codes, files.
std::string man_page(const CommandDoc& plumb);

}  // namespace plumb
