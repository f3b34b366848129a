#include "data/bpe_files.h"

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/utf8.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace plumb {
namespace fs = std::filesystem;

// ---- Bytes as characters -----------------------------------------------------------------------

namespace {

struct ByteCharacters {
    std::array<char32_t, 256> of_byte{};
    std::unordered_map<char32_t, char> byte_of;

    ByteCharacters() {
        char32_t next = 256;
        for (std::size_t b = 0; b < 256; ++b) {
            const bool visible =
                (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
            of_byte[b] = visible ? static_cast<char32_t>(b) : next++;
            byte_of[of_byte[b]] = static_cast<char>(b);
        }
    }
};

const ByteCharacters& byte_characters() {
    static const ByteCharacters table;
    return table;
}

}  // namespace

std::string bpe_characters(std::string_view bytes) {
    std::string text;
    for (const char b : bytes)
        append_utf8(text, byte_characters().of_byte[static_cast<unsigned char>(b)]);
    return text;
}

std::string bpe_bytes(std::string_view characters) {
    std::string bytes;
    for (std::size_t i = 0; i < characters.size();) {
        const CodePoint c = code_point_at(characters, i);
        const auto at = byte_characters().byte_of.find(c.value);
        if (c.n_bytes == 0 || at == byte_characters().byte_of.end()) return std::string(characters);
        bytes.push_back(at->second);
        i += c.n_bytes;
    }
    return bytes;
}

std::vector<std::string> bpe_alphabet() {
    std::vector<std::pair<char32_t, char>> sorted;
    for (const auto& [character, byte] : byte_characters().byte_of)
        sorted.emplace_back(character, byte);
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::string> tokens;
    tokens.reserve(sorted.size());
    for (const auto& [character, byte] : sorted) tokens.emplace_back(1, byte);
    return tokens;
}

// ---- Writing -----------------------------------------------------------------------------------

std::string bpe_vocab_text(const Bpe& bpe) {
    std::string text;
    for (std::size_t i = 0; i < bpe.tokens().size(); ++i)
        text += fmt::format("{}{}: {}", i == 0 ? "{" : ", ",
                            nlohmann::json(bpe_characters(bpe.tokens()[i])).dump(), i);
    return text + "}\n";
}

std::string bpe_merges_text(const Bpe& bpe) {
    const auto characters = [&](std::int32_t token) {
        return bpe_characters(bpe.tokens()[static_cast<std::size_t>(token)]);
    };
    std::string text = "#version: 0.2\n";
    for (const BpeMerge& m : bpe.merges())
        text += characters(m.left) + " " + characters(m.right) + "\n";
    return text;
}

// ---- Reading -----------------------------------------------------------------------------------

namespace {

using Ids = std::unordered_map<std::string, std::int32_t>;  // by the characters of the file

// All ids 0 .. n - 1, each once.
std::vector<std::string> parse_vocab(std::string_view text, const std::string& name, Ids& ids) {
    const auto json = parse_json<nlohmann::json>(text, name);
    if (!json.is_object() || json.empty())
        throw IoError(fmt::format("{}: not a JSON object of tokens and their numbers", name));
    std::vector<std::string> tokens(json.size());
    for (const auto& [key, value] : json.items()) {
        const auto size = static_cast<std::int64_t>(tokens.size());
        if (!json_is<std::int64_t>(value) || value < 0 || value >= size)
            throw IoError(fmt::format("{}: token '{}' has the number {}; {} tokens have 0 to {}",
                                      name, json_excerpt(key), json_excerpt(value.dump()), size,
                                      size - 1));
        std::string& token = tokens[value.get<std::size_t>()];
        if (!token.empty())
            throw IoError(
                fmt::format("{}: two tokens have the number {}", name, value.get<std::int64_t>()));
        token = bpe_bytes(key);
        if (token.empty()) throw IoError(fmt::format("{}: a token is empty", name));
        ids[key] = value.get<std::int32_t>();
    }
    return tokens;
}

std::vector<BpeMerge> parse_merges(std::string_view text, const std::string& name, const Ids& ids) {
    std::vector<BpeMerge> merges;
    std::size_t n_lines = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string_view line = text.substr(begin, end - begin);
        begin = end + 1, ++n_lines;
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || (n_lines == 1 && line.starts_with("#version"))) continue;
        const auto refuse = [&](const std::string& what) {
            throw IoError(fmt::format("{}, line {}: {}", name, n_lines, what));
        };
        const std::size_t blank = line.find(' ');
        if (blank == line.npos || line.find(' ', blank + 1) != line.npos)
            refuse(fmt::format("'{}' is not two tokens with a blank between them",
                               json_excerpt(std::string(line))));
        const auto id = [&](const std::string& token) {
            const auto at = ids.find(token);
            if (at == ids.end())
                refuse(fmt::format("'{}' is not in the vocabulary", json_excerpt(token)));
            return at->second;
        };
        const std::string left(line.substr(0, blank)), right(line.substr(blank + 1));
        merges.push_back({id(left), id(right), id(left + right)});
    }
    return merges;
}

}  // namespace

Bpe parse_bpe(std::string_view vocab, const std::string& vocab_name, std::string_view merges,
              const std::string& merges_name) {
    Ids ids;
    std::vector<std::string> tokens = parse_vocab(vocab, vocab_name, ids);
    std::vector<BpeMerge> pairs = parse_merges(merges, merges_name, ids);
    try {
        return {std::move(tokens), std::move(pairs)};
    } catch (const UsageError& e) {
        throw IoError(fmt::format("{}: {}", vocab_name, e.what()));
    }
}

std::optional<BpeFiles> find_bpe(const fs::path& folder) {
    std::error_code ignored;
    for (const BpeFiles& files : {BpeFiles{folder / kBpeVocab, folder / kBpeMerges},
                                  BpeFiles{folder / "encoder.json", folder / "vocab.bpe"}})
        if (fs::exists(files.vocab, ignored) && fs::exists(files.merges, ignored)) return files;
    return std::nullopt;
}

Bpe read_bpe(const fs::path& folder) {
    const auto files = find_bpe(folder);
    if (!files)
        throw IoError(fmt::format(
            "{} holds no GPT-2 tokenizer: neither {} and {} nor encoder.json and vocab.bpe are "
            "there",
            folder.string(), kBpeVocab, kBpeMerges));
    return parse_bpe(read_file(files->vocab), files->vocab.string(), read_file(files->merges),
                     files->merges.string());
}

}  // namespace plumb
