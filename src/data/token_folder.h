// Writing a folder of token files so that it is whole or known to be unfinished.
#pragma once

#include "data/token_meta.h"

#include <filesystem>
#include <map>
#include <string>

namespace plumb {

// While the folder is written it holds this file; a folder that has it is not opened, and may be
// written again without --force.
inline constexpr const char* kUnfinished = ".preparing";

// True if a preparation of this folder was interrupted.
bool is_unfinished(const std::filesystem::path& folder);

// Name and content of each file of tokens, and of those of the tokenizer.
using TokenBins = std::map<std::string, std::string>;

// Writes the files, each whole or not at all and never through a symbolic link, meta.json last.
// Returns false, and writes nothing, if all of it is there already. Throws UsageError if something
// with other content would be lost and `force` is not given; IoError if the disk refuses.
bool write_token_folder(const std::filesystem::path& folder, const TokenMeta& meta,
                        const TokenBins& bins, bool force);

}  // namespace plumb
