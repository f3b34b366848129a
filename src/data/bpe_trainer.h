// Learns a byte-level BPE vocabulary from a text.
#pragma once

#include "data/bpe.h"

#include <functional>

namespace plumb {

// How much of the work is done, and what is being done.
using DataProgress = std::function<void(double fraction, std::string_view what)>;

// A vocabulary of exactly `vocab` tokens: the 256 bytes in GPT-2's order, then, one at a time, the
// two neighbours that occur together most often in the words of `text` (data/pre_tokens.h), of
// several the pair with the smallest token numbers. A pair that only makes a token again that is
// there already (another way to cut it) is a merge without a new token. Equals the BpeTrainer of
// the tokenizers library with ByteLevel's alphabet and words, min_frequency = 2. A function of the
// text alone. Throws UsageError if vocab < 256, or if no pair is left that occurs twice.
Bpe train_bpe(std::string_view text, std::int64_t vocab, const DataProgress& progress = {});

}  // namespace plumb
