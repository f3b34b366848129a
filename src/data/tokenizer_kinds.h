// The tokenizers that `plumb data prepare` can make: one row each.
#pragma once

#include "data/bpe_trainer.h"
#include "data/tokenizer.h"

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace plumb {

// The text that is prepared: all of it, and what is trained on.
struct TokenizedText {
    std::string_view all, train;
};

using TokenizerMaker = std::function<Tokenizer(const TokenizedText&, const DataProgress&)>;

struct TokenizerKind {
    const char* name;      // as it is typed, and stored in meta.json
    const char* argument;  // what is typed after a colon: "V"; "": nothing
    const char* about;
    bool needs_utf8;
    // Looks at the argument, and at files that it names, before any text is read. Throws UsageError
    // or IoError; so does the maker.
    TokenizerMaker (*maker)(const std::string& argument);
    // From meta.json's "chars" and the folder that it stands in; nullptr: it is stored as one of
    // another kind.
    Tokenizer (*stored)(const std::string& chars, const std::filesystem::path& folder);

    std::string typed() const;  // "bpe:V"
};

std::span<const TokenizerKind> tokenizer_kinds();

// A tokenizer as it is typed: byte, char, bpe:4096, gpt2:DIR.
struct TypedTokenizer {
    const TokenizerKind* kind;
    TokenizerMaker make;
};
TypedTokenizer parse_tokenizer(const std::string& typed);

// That of a meta.json. Throws UsageError or IoError; whoever reads the file says where it is.
Tokenizer stored_tokenizer(const std::string& kind, const std::string& chars,
                           const std::filesystem::path& folder);

// "byte|char|bpe:V|gpt2:DIR"
std::string tokenizer_choices();

}  // namespace plumb
