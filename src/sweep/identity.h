// What makes a run the run it is: the settings that change its numbers, the data, and the numerics
// of such a run. Never the commit, the machine, the threads or the names of files.
#pragma once

#include "config/config.h"

#include <string>

namespace plumb {

// The first 10 hexadecimal digits of the SHA-256 over lines `key = value` (TOML text, sorted) of
// all settings that are not at their default and change numbers (core/field.h), and of
//     data = FINGERPRINT
//     numerics = N              config/numerics.h
// data.path is left out: the fingerprint of the tokens (Dataset::fingerprint) stands for it. As a
// setting at its default is not in the hash, a new setting leaves all old ids alone.
std::string run_id(const Config& config, const std::string& data_fingerprint);

}  // namespace plumb
