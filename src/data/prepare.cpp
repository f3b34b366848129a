#include "data/prepare.h"

#include "core/check.h"
#include "core/sha256.h"
#include "core/text.h"
#include "data/token_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace plumb {

namespace fs = std::filesystem;

std::size_t split_point(std::string_view text, double fraction) {
    const auto size = static_cast<double>(text.size());
    auto at = static_cast<std::size_t>(std::floor(size * (1 - fraction)));
    const auto inside_character = [&](std::size_t i) {
        return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
    };
    for (int k = 0; k < 3 && at < text.size() && inside_character(at); ++k) ++at;
    return at;
}

// ---- Text --------------------------------------------------------------------------------------

std::vector<std::string> normalize_text(SourceText& source) {
    std::string& text = source.text;
    std::vector<std::string> notices;
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
        notices.push_back(fmt::format(
            "{}: begins like UTF-16; if it is, convert it: iconv -f UTF-16 -t UTF-8", source.name));
    if (text.find('\0') != std::string::npos) return notices;  // not text
    if (text.starts_with("\xef\xbb\xbf")) {
        text.erase(0, 3);
        notices.push_back(source.name + ": a byte order mark was dropped (--raw keeps it)");
    }
    std::size_t kept = 0, n_pairs = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n')
            ++n_pairs;
        else
            text[kept++] = text[i];
    }
    text.resize(kept);
    if (n_pairs > 0)
        notices.push_back(fmt::format("{}: {} lines ended in CR LF, now in LF (--raw keeps CR LF)",
                                      source.name, thousands(static_cast<long long>(n_pairs))));
    return notices;
}

namespace {

void append(std::string& text, std::string_view part, const std::string& separator) {
    if (part.empty()) return;
    if (!text.empty()) text += separator;
    text += part;
}

void check_utf8(const SourceText& source) {
    const auto bad = invalid_utf8(source.text);
    if (bad)
        throw UsageError(fmt::format(
            "{} is not UTF-8 at byte offset {} (byte 0x{:02x}); type --tokenizer byte, which takes "
            "any file, or convert it with iconv",
            source.name, *bad, static_cast<unsigned char>(source.text[*bad])));
}

std::string fraction_hint(const PrepareOptions& options) {
    std::string hint = fmt::format("--val-fraction {}", options.val_fraction);
    if (options.test_fraction > 0)
        hint += fmt::format(" --test-fraction {}", options.test_fraction);
    return hint;
}

}  // namespace

SplitTexts split_sources(const PrepareSources& sources, const PrepareOptions& options) {
    const double test = sources.test.empty() ? options.test_fraction : 0;
    const double val = sources.val.empty() ? options.val_fraction : 0;
    SplitTexts split;
    for (const SourceText& source : sources.text) {
        const std::string_view text = source.text;
        const std::size_t end = split_point(text, test);
        const std::size_t begin = std::min(end, split_point(text, val + test));
        append(split.train, text.substr(0, begin), options.separator);
        append(split.val, text.substr(begin, end - begin), options.separator);
        append(split.test, text.substr(end), options.separator);
    }
    for (const SourceText& source : sources.val) append(split.val, source.text, options.separator);
    for (const SourceText& source : sources.test)
        append(split.test, source.text, options.separator);
    return split;
}

namespace {

void check_options(const PrepareSources& sources, const PrepareOptions& o, bool needs_utf8) {
    if (sources.text.empty()) throw UsageError("no text: name a corpus (austen, kjv) or files");
    const bool cut_val = sources.val.empty(), cut_test = sources.test.empty();
    if (cut_val && !(o.val_fraction > 0 && o.val_fraction < 1))
        throw UsageError(fmt::format("--val-fraction {}: must be between 0 and 1, for example 0.1",
                                     o.val_fraction));
    if (!(o.test_fraction >= 0 && o.test_fraction < 1))
        throw UsageError(
            fmt::format("--test-fraction {}: must be at least 0 and less than 1", o.test_fraction));
    if (!cut_test && o.test_fraction > 0)
        throw UsageError(
            "--test and --test-fraction both say what the test text is; leave one out");
    if (cut_val && o.val_fraction + o.test_fraction >= 1)
        throw UsageError(fmt::format("{} leave nothing to train on", fraction_hint(o)));
    if (needs_utf8 && invalid_utf8(o.separator))
        throw UsageError("--separator is not UTF-8; type --tokenizer byte, or another separator");
}

void check_split(const SplitTexts& split, const PrepareSources& sources, const PrepareOptions& o) {
    const bool wants_test = !sources.test.empty() || o.test_fraction > 0;
    if (!split.train.empty() && !split.val.empty() && (!wants_test || !split.test.empty())) return;
    throw UsageError(fmt::format(
        "{} bytes are too few to split with {}: one part would be empty; name more text",
        split.train.size() + split.val.size() + split.test.size(), fraction_hint(o)));
}

// austen, or the first file's name without folder and extension.
std::string corpus_name(const std::vector<SourceText>& sources) {
    const std::string first = fs::path(sources.front().name).stem().string();
    return sources.size() == 1 ? first : fmt::format("{} and {} more", first, sources.size() - 1);
}

double unigram_entropy(const std::vector<std::int32_t>& tokens, std::int64_t vocab) {
    std::vector<double> counts(static_cast<std::size_t>(vocab), 0.0);
    for (const std::int32_t token : tokens) counts[static_cast<std::size_t>(token)] += 1;
    const auto n = static_cast<double>(tokens.size());
    double entropy = 0;
    for (const double count : counts)
        if (count > 0) entropy -= count / n * std::log(count / n);
    return entropy;
}

// ---- Tokens ------------------------------------------------------------------------------------

// What a .bin file holds, as bytes: little-endian numbers of this type (token_type).
std::string as_numbers(const std::vector<std::int32_t>& tokens, std::string_view type) {
    const int n_bits = type == "uint32" ? 32 : 16;
    std::string bytes;
    bytes.reserve(tokens.size() * static_cast<std::size_t>(n_bits / 8));
    for (const std::int32_t token : tokens)
        for (int bit = 0; bit < n_bits; bit += 8)
            bytes.push_back(static_cast<char>(token >> bit & 0xff));
    return bytes;
}

// Writes the tokens of one split into `bytes`.
SplitMeta split_meta(const std::string& text, const std::vector<std::int32_t>& tokens,
                     std::string_view type, std::string& bytes) {
    bytes = as_numbers(tokens, type);
    return {static_cast<std::int64_t>(tokens.size()),
            static_cast<double>(text.size()) / static_cast<double>(tokens.size()),
            sha256_hex(bytes)};
}

}  // namespace

Prepared prepare_token_files(PrepareSources sources, const PrepareOptions& options) {
    const TypedTokenizer typed = parse_tokenizer(options.tokenizer);
    check_options(sources, options, typed.kind->needs_utf8);
    Prepared made;
    for (auto* list : {&sources.text, &sources.val, &sources.test})
        for (SourceText& source : *list) {
            if (!options.raw)
                for (std::string& notice : normalize_text(source))
                    made.notices.push_back(std::move(notice));
            if (typed.kind->needs_utf8) check_utf8(source);
        }
    const SplitTexts split = split_sources(sources, options);
    check_split(split, sources, options);
    const std::string text = split.train + split.val + split.test;

    TokenMeta& meta = made.meta;
    meta.name = corpus_name(sources.text);
    meta.tokenizer = typed.make({text, split.train}, options.progress);
    meta.dtype = token_type(meta.tokenizer.vocab());
    meta.bytes = static_cast<std::int64_t>(text.size());
    meta.text_sha256 = sha256_hex(text);
    TokenBins bins = meta.tokenizer.files();
    const auto tokens_of = [&](const std::string& part, const char* file, SplitMeta& about) {
        auto tokens = meta.tokenizer.encode(part);
        about = split_meta(part, tokens, meta.dtype, bins[file]);
        return tokens;
    };
    tokens_of(split.train, "train.bin", meta.train);
    const auto val = tokens_of(split.val, "val.bin", meta.val);
    if (!split.test.empty()) tokens_of(split.test, "test.bin", meta.test);

    made.unigram_entropy = unigram_entropy(val, meta.tokenizer.vocab());
    made.sample = meta.tokenizer.decode({val.data(), std::min<std::size_t>(val.size(), 240)});
    made.unchanged = !write_token_folder(options.out, meta, bins, options.force);
    return made;
}

}  // namespace plumb
