// From text to token files: what `plumb data prepare` does.
#pragma once

#include "train/corpora.h"
#include "train/token_meta.h"

namespace plumb {

struct PrepareOptions {
    std::string out;                 // folder to write
    std::string tokenizer = "byte";  // or "char"
    double val_fraction = 0.1;       // of the bytes, the last ones
    bool force = false;              // replace token files with other content
};

struct Prepared {
    TokenMeta meta;
    bool unchanged = false;      // the folder held exactly this already; nothing was written
    double unigram_entropy = 0;  // nats per validation token: the loss of knowing frequencies only
    std::string sample;          // the first 240 tokens of the validation text
};

// Offset of the first validation byte: floor(size * (1 - val_fraction)), as nanoGPT splits, moved
// on to the start of a UTF-8 character. Text before it is trained on, the rest is validated on.
std::size_t split_point(std::string_view text, double val_fraction);

// Joins the sources in order, splits, encodes and writes meta.json, train.bin, val.bin, each
// by temporary file and rename and meta.json first, so that an interrupted preparation never opens.
// Throws UsageError (options, text that is not UTF-8, a folder with other token files) or IoError.
Prepared prepare_token_files(const std::vector<SourceText>& sources, const PrepareOptions& options);

}  // namespace plumb
