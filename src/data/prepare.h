// From text to token files: what `plumb data prepare` does.
#pragma once

#include "data/corpora.h"
#include "data/token_meta.h"
#include "data/tokenizer_kinds.h"

namespace plumb {

struct PrepareOptions {
    std::string out;                 // folder to write
    std::string tokenizer = "byte";  // as typed: data/tokenizer_kinds.h
    std::string separator = "\n";    // between two sources
    double val_fraction = 0.1;       // of the bytes of each source, see split_sources
    double test_fraction = 0;
    bool raw = false;         // keep byte order marks and CRLF
    bool force = false;       // replace token files with other content
    DataProgress progress{};  // of learning a vocabulary
};

struct PrepareSources {
    std::vector<SourceText> text;  // what is trained on, and what val and test are cut from
    std::vector<SourceText> val;   // the validation text, if it is not to be cut from `text`
    std::vector<SourceText> test;  // the test text, likewise
};

struct SplitTexts {
    std::string train, val, test;
};

struct Prepared {
    TokenMeta meta;
    std::vector<std::string> notices;  // what was found in the text and done about it
    bool unchanged = false;            // the folder held exactly this already; nothing was written
    double unigram_entropy = 0;  // nats per validation token: the loss of knowing frequencies only
    std::string sample;          // the first 240 tokens of the validation text
};

// Offset of the first byte that is kept back: floor(size * (1 - fraction)), as nanoGPT splits,
// moved on to the start of a UTF-8 character.
std::size_t split_point(std::string_view text, double fraction);

// Drops a UTF-8 byte order mark and makes CRLF LF, in text (a file without a byte 0). Returns what
// was done, one sentence each, and what was only noticed.
std::vector<std::string> normalize_text(SourceText& source);

// Each source gives its last test_fraction to test, the val_fraction before that to validation and
// the rest to training, so that every split holds something of every source; the parts of a split
// are joined by the separator. Where val (or test) sources are given, they are that split instead.
SplitTexts split_sources(const PrepareSources& sources, const PrepareOptions& options);

// Normalises, splits, encodes and writes train.bin, val.bin, test.bin (if there is a test split),
// meta.json and the files of the tokenizer (write_token_folder). A vocabulary is learnt from the
// training split alone; char takes the characters of all. Tokens are uint16, or uint32 where the
// vocabulary is larger than 65,536. Throws UsageError (options, text that is not UTF-8, a folder
// with other token files) or IoError.
Prepared prepare_token_files(PrepareSources sources, const PrepareOptions& options);

}  // namespace plumb
