// RUN/data/meta.json: what a run needs of its data to read and write text, kept with the run. A run
// that was copied without its tokens still generates, and still turns other text into its tokens.
// The file is the data folder's own meta.json (data/token_meta.h), with the files of the tokenizer
// beside it; where there is no tokenizer it says {"schema": 1, "tokenizer": "none", "vocab": N}.
#pragma once

#include "data/dataset.h"

#include <filesystem>

namespace plumb {

// Writes the files, meta.json last, which a resumed run has already. Throws IoError.
void save_run_text(const std::filesystem::path& run, const Dataset& data);

class RunText {
public:
    virtual ~RunText() = default;
    virtual Index vocab() const = 0;
    virtual bool is_text() const = 0;  // false: tokens are written as numbers with blanks between
    // As Dataset::encode and decode.
    virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
    virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
};

// From the run's own file; a run of schema 1 has none, and then the data that its config names must
// be there. Throws IoError if the file is damaged.
std::unique_ptr<RunText> open_run_text(const std::filesystem::path& run, const DataConfig& config,
                                       Index context);

}  // namespace plumb
