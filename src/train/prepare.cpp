#include "train/prepare.h"

#include "core/check.h"
#include "core/sha256.h"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace plumb {

namespace fs = std::filesystem;

std::size_t split_point(std::string_view text, double val_fraction) {
    const auto size = static_cast<double>(text.size());
    auto at = static_cast<std::size_t>(std::floor(size * (1 - val_fraction)));
    const auto inside_character = [&](std::size_t i) {
        return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
    };
    for (int k = 0; k < 3 && at < text.size() && inside_character(at); ++k) ++at;
    return at;
}

namespace {

// ---- Text --------------------------------------------------------------------------------------

std::string join_sources(const std::vector<SourceText>& sources, const std::string& tokenizer) {
    std::string text;
    for (const SourceText& source : sources) {
        const auto bad = tokenizer == "char" ? invalid_utf8(source.text) : std::nullopt;
        if (bad)
            throw UsageError(fmt::format(
                "{} is not UTF-8 at byte offset {} (byte 0x{:02x}); type --tokenizer byte, which "
                "takes any file, or convert it with iconv",
                source.name, *bad, static_cast<unsigned char>(source.text[*bad])));
        text += source.text;
    }
    return text;
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

// ---- Files -------------------------------------------------------------------------------------

// What a .bin file holds, as bytes.
std::string as_uint16(const std::vector<std::int32_t>& tokens) {
    std::string bytes;
    bytes.reserve(2 * tokens.size());
    for (const std::int32_t token : tokens) {
        bytes.push_back(static_cast<char>(token & 0xff));
        bytes.push_back(static_cast<char>(token >> 8));
    }
    return bytes;
}

void write_file(const fs::path& file, const std::string& bytes) {
    const fs::path temporary = file.string() + ".tmp";
    std::ofstream out(temporary, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.close();
    std::error_code error;
    if (out) fs::rename(temporary, file, error);
    if (!out || error) {
        std::error_code ignored;
        fs::remove(temporary, ignored);
        throw IoError(fmt::format("cannot write {}: is the disk full, or the folder read-only?",
                                  file.string()));
    }
}

std::string file_sha256(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    Sha256 hash;
    std::string chunk(1 << 20, '\0');
    while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0)
        hash.update(chunk.data(), static_cast<std::size_t>(in.gcount()));
    return hash.hex();
}

// True if the folder holds exactly these token files already. UsageError if it holds others.
bool already_there(const fs::path& folder, const TokenMeta& meta, bool force) {
    bool any = false;
    for (const char* name : {"meta.json", "train.bin", "val.bin"})
        any = any || fs::exists(folder / name);
    if (!any) return false;
    std::optional<TokenMeta> old;
    try {
        old = read_token_meta(folder);
    } catch (const IoError&) {  // not ours: other content
    }
    if (old && old->same_content(meta) && file_sha256(folder / "train.bin") == meta.train_sha256 &&
        file_sha256(folder / "val.bin") == meta.val_sha256)
        return true;
    if (!force)
        throw UsageError(fmt::format(
            "{} already holds token files with other content ({}); type another --out, or --force "
            "to replace them",
            folder.string(), old ? old->name + ", " + old->tokenizer.kind() : "unknown"));
    return false;
}

void write_token_files(const fs::path& folder, const TokenMeta& meta, const std::string& train,
                       const std::string& val) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error)
        throw IoError(fmt::format("cannot make the folder {}: {}; type another --out",
                                  folder.string(), error.message()));
    write_file(folder / "meta.json", meta.to_json());
    write_file(folder / "train.bin", train);
    write_file(folder / "val.bin", val);
}

}  // namespace

Prepared prepare_token_files(const std::vector<SourceText>& sources,
                             const PrepareOptions& options) {
    Tokenizer::check_kind(options.tokenizer);
    if (!(options.val_fraction > 0 && options.val_fraction < 1))
        throw UsageError(fmt::format("--val-fraction {}: must be between 0 and 1, for example 0.1",
                                     options.val_fraction));
    if (sources.empty()) throw UsageError("no text: name a corpus (austen, kjv) or files");
    const std::string text = join_sources(sources, options.tokenizer);
    const std::size_t split = split_point(text, options.val_fraction);
    if (split == 0 || split == text.size())
        throw UsageError(
            fmt::format("{} bytes are too few to split with --val-fraction {}: one "
                        "part would be empty; name more text",
                        text.size(), options.val_fraction));

    Prepared made;
    TokenMeta& meta = made.meta;
    meta.name = corpus_name(sources);
    meta.tokenizer = Tokenizer::make(options.tokenizer, text);
    const auto train = meta.tokenizer.encode(std::string_view(text).substr(0, split));
    const auto val = meta.tokenizer.encode(std::string_view(text).substr(split));
    meta.bytes = static_cast<std::int64_t>(text.size());
    meta.bytes_per_token =
        static_cast<double>(text.size() - split) / static_cast<double>(val.size());
    meta.train_tokens = static_cast<std::int64_t>(train.size());
    meta.val_tokens = static_cast<std::int64_t>(val.size());
    const std::string train_bytes = as_uint16(train), val_bytes = as_uint16(val);
    meta.text_sha256 = sha256_hex(text);
    meta.train_sha256 = sha256_hex(train_bytes);
    meta.val_sha256 = sha256_hex(val_bytes);

    made.unigram_entropy = unigram_entropy(val, meta.tokenizer.vocab());
    made.sample = meta.tokenizer.decode({val.data(), std::min<std::size_t>(val.size(), 240)});
    made.unchanged = already_there(options.out, meta, options.force);
    if (!made.unchanged) write_token_files(options.out, meta, train_bytes, val_bytes);
    return made;
}

}  // namespace plumb
