#include "data/tokenizer_kinds.h"

#include "core/check.h"
#include "core/text.h"
#include "data/bpe_files.h"

#include <charconv>

namespace plumb {
namespace {

constexpr std::int64_t kSmallestBpe = 257, kLargestBpe = 1 << 20;

TokenizerMaker byte_maker(const std::string&) {
    return [](const TokenizedText&, const DataProgress&) { return Tokenizer::bytes(); };
}
Tokenizer stored_bytes(const std::string&, const std::filesystem::path&) {
    return Tokenizer::bytes();
}

TokenizerMaker char_maker(const std::string&) {
    return [](const TokenizedText& text, const DataProgress&) {
        return Tokenizer::chars_of(text.all);
    };
}
Tokenizer stored_chars(const std::string& chars, const std::filesystem::path&) {
    Tokenizer tokenizer = Tokenizer::chars_of(chars);
    if (tokenizer.definition() != chars)
        throw UsageError("\"chars\" are not the sorted characters of a char tokenizer");
    return tokenizer;
}

TokenizerMaker bpe_maker(const std::string& argument) {
    std::int64_t vocab = 0;
    const char* end = argument.data() + argument.size();
    const auto [stop, error] = std::from_chars(argument.data(), end, vocab);
    if (error != std::errc{} || stop != end || vocab < kSmallestBpe || vocab > kLargestBpe)
        throw UsageError(
            fmt::format("--tokenizer bpe:{}: the size of the vocabulary must be a whole number "
                        "from {} (256 bytes and a merge) to {}, for example --tokenizer bpe:4096",
                        argument, kSmallestBpe, kLargestBpe));
    return [vocab](const TokenizedText& text, const DataProgress& progress) {
        return Tokenizer::of(train_bpe(text.train, vocab, progress));
    };
}
Tokenizer stored_bpe(const std::string&, const std::filesystem::path& folder) {
    return Tokenizer::of(read_bpe(folder));
}

TokenizerMaker gpt2_maker(const std::string& folder) {
    try {
        return [tokenizer = Tokenizer::of(read_bpe(folder))](
                   const TokenizedText&, const DataProgress&) { return tokenizer; };
    } catch (const IoError& e) {
        throw IoError(fmt::format("--tokenizer gpt2:{}: {}", folder, e.what()));
    }
}

constexpr TokenizerKind kKinds[]{
    {"byte", "", "256 tokens, any file", false, byte_maker, stored_bytes},
    {"char", "", "the characters of the text, which must be UTF-8", true, char_maker, stored_chars},
    {"bpe", "V", "V tokens learnt from the training text: byte pairs, GPT-2's words, any file",
     false, bpe_maker, stored_bpe},
    {"gpt2", "DIR",
     "that of DIR: GPT-2's encoder.json and vocab.bpe, or vocab.json and merges.txt, as a folder "
     "made with bpe:V and the data folder of its runs have them",
     false, gpt2_maker, nullptr},
};

}  // namespace

std::string TokenizerKind::typed() const {
    return fmt::format("{}{}{}", name, *argument ? ":" : "", argument);
}

std::span<const TokenizerKind> tokenizer_kinds() { return kKinds; }

std::string tokenizer_choices() {
    std::string text;
    for (const TokenizerKind& kind : kKinds) text += (text.empty() ? "" : "|") + kind.typed();
    return text;
}

TypedTokenizer parse_tokenizer(const std::string& typed) {
    const auto colon = typed.find(':');
    const std::string name = typed.substr(0, colon);
    std::vector<std::string> names;
    for (const TokenizerKind& kind : kKinds) {
        names.push_back(kind.name);
        if (name != kind.name) continue;
        const bool has_argument = colon != typed.npos && colon + 1 < typed.size();
        if (has_argument != (*kind.argument != '\0') || (colon != typed.npos && !has_argument))
            throw UsageError(fmt::format("--tokenizer {}: type --tokenizer {}{}", typed,
                                         kind.typed(),
                                         *kind.argument ? fmt::format(" ({})", kind.about) : ""));
        return {&kind, kind.maker(has_argument ? typed.substr(colon + 1) : "")};
    }
    throw UsageError(fmt::format("no tokenizer '{}'{}; type --tokenizer {}", typed,
                                 did_you_mean(name, names), tokenizer_choices()));
}

Tokenizer stored_tokenizer(const std::string& name, const std::string& chars,
                           const std::filesystem::path& folder) {
    std::string known;
    for (const TokenizerKind& kind : kKinds) {
        if (!kind.stored) continue;
        if (name == kind.name) return kind.stored(chars, folder);
        known += fmt::format("{}{}", known.empty() ? "" : ", ", kind.name);
    }
    throw UsageError(fmt::format("no tokenizer '{}'; there are {}", name, known));
}

}  // namespace plumb
