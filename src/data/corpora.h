// Text to make token files from: two corpora that come as Debian packages, and files.
#pragma once

#include "data/debian_package.h"

#include <string>
#include <vector>

namespace plumb {

struct CorpusInfo {
    std::string name;
    std::string summary;
    DebianPackage package;
    std::string sha256;  // of the text, as first prepared from Debian 12
};

// One row per corpus, for `plumb list corpora`.
const std::vector<CorpusInfo>& corpora();

struct SourceText {
    std::string name;  // corpus or file
    std::string text;
    std::string warning;  // "" or that the text is not the recorded one, with both hashes
};

// The text of a corpus of the table, or of a file. Throws IoError if it cannot be had (and says how
// to get it), also if `name` is neither a corpus nor a file; UsageError for a folder or an empty
// file.
SourceText load_source(const std::string& name);

}  // namespace plumb
