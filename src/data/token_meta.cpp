#include "data/token_meta.h"

#include "core/json.h"
#include "core/sha256.h"
#include "core/text.h"
#include "data/tokenizer_kinds.h"

#include <algorithm>

namespace plumb {

using nlohmann::ordered_json;

std::string TokenMeta::to_json() const {
    ordered_json j;
    j["schema"] = 1;
    j["name"] = name;
    j["tokenizer"] = tokenizer.kind();
    j["vocab"] = tokenizer.vocab();
    if (tokenizer.kind() == "char") j["chars"] = tokenizer.definition();
    if (dtype != "uint16") j["dtype"] = dtype;
    j["bytes"] = bytes;
    j["bytes_per_token"] = val.bytes_per_token;
    j["train_tokens"] = train.tokens;
    j["val_tokens"] = val.tokens;
    if (!text_sha256.empty()) j["sha256"]["text"] = text_sha256;
    j["sha256"]["train.bin"] = train.sha256;
    j["sha256"]["val.bin"] = val.sha256;
    if (test.tokens > 0) {
        j["test_bytes_per_token"] = test.bytes_per_token;
        j["test_tokens"] = test.tokens;
        j["sha256"]["test.bin"] = test.sha256;
    }
    for (const auto& [file, content] : tokenizer.files()) j["sha256"][file] = sha256_hex(content);
    return j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::map<std::string, std::string> TokenMeta::files() const {
    auto files = tokenizer.files();
    files["meta.json"] = to_json();
    return files;
}

bool TokenMeta::same_content(const TokenMeta& other) const {
    return tokenizer == other.tokenizer && dtype == other.dtype &&
           train.sha256 == other.train.sha256 && val == other.val && test == other.test;
}

const char* token_type(std::int64_t vocab) { return vocab <= 65536 ? "uint16" : "uint32"; }

namespace {

constexpr const char* kName = "meta.json";

// A refusal of this file; read_token_meta adds where it is and what to do.
[[noreturn]] void refuse(const std::string& what) { throw IoError(what); }

std::int64_t count(const ordered_json& j, const char* key) {
    const auto n = json_at<std::int64_t>(j, key, kName);
    if (n < 1) refuse(fmt::format("\"{}\" is {}, not at least 1", key, n));
    return n;
}

double bytes_per_token(const ordered_json& j, const char* key, const Tokenizer& tokenizer) {
    const auto n = json_at<double>(j, key, kName);
    const std::int64_t most = tokenizer.longest();
    if (!(n >= 1 && n <= static_cast<double>(most)))
        refuse(fmt::format("\"{}\" is {}; a token of a {} tokenizer has {}", key, n,
                           tokenizer.kind(),
                           most == 1 ? std::string("1 byte") : fmt::format("1 to {} bytes", most)));
    return n;
}

std::string hash(const ordered_json& hashes, const char* key) {
    auto text = json_at<std::string>(hashes, key, "meta.json: \"sha256\"");
    const bool hex = std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
    if (text.size() != 64 || !hex)
        refuse(fmt::format("\"sha256\" of {} is {}, not 64 hexadecimal digits", key,
                           json_excerpt(text)));
    return text;
}

Tokenizer tokenizer_of(const ordered_json& j, const std::filesystem::path& folder) {
    const auto kind = json_at<std::string>(j, "tokenizer", kName);
    const auto chars = json_or(j, "chars", std::string{}, kName);
    if (kind != "char" && !chars.empty())
        refuse("\"chars\" are not the sorted characters of a char tokenizer");
    Tokenizer tokenizer = stored_tokenizer(kind, chars, folder);
    if (const auto vocab = json_at<std::int64_t>(j, "vocab", kName); vocab != tokenizer.vocab())
        refuse(fmt::format("\"vocab\" is {}, but the tokenizer has {}", vocab, tokenizer.vocab()));
    for (const auto& [file, content] : tokenizer.files())
        if (sha256_hex(content) != hash(j["sha256"], file.c_str()))
            refuse(fmt::format("{} beside it is of another tokenizer: its SHA-256 differs", file));
    return tokenizer;
}

TokenMeta parse_meta(const ordered_json& j, const std::filesystem::path& folder) {
    if (json_at<std::int64_t>(j, "schema", kName) != 1) refuse("\"schema\" is not 1");
    TokenMeta meta;
    meta.name = json_at<std::string>(j, "name", kName);
    if (!j.contains("sha256")) refuse("\"sha256\" is missing");
    meta.tokenizer = tokenizer_of(j, folder);
    meta.dtype = json_or(j, "dtype", meta.dtype, kName);
    if (meta.dtype != "uint16" && meta.dtype != "uint32")
        refuse("\"dtype\" is neither uint16 nor uint32");
    if (meta.dtype == "uint16" && meta.dtype != token_type(meta.tokenizer.vocab()))
        refuse(fmt::format("\"dtype\" is uint16, which {} tokens do not fit in",
                           meta.tokenizer.vocab()));
    meta.bytes = count(j, "bytes");
    const ordered_json& hashes = j["sha256"];
    if (hashes.contains("text")) meta.text_sha256 = hash(hashes, "text");
    meta.train = {count(j, "train_tokens"), 0, hash(hashes, "train.bin")};
    meta.val = {count(j, "val_tokens"), bytes_per_token(j, "bytes_per_token", meta.tokenizer),
                hash(hashes, "val.bin")};
    if (j.contains("test_tokens"))
        meta.test = {count(j, "test_tokens"),
                     bytes_per_token(j, "test_bytes_per_token", meta.tokenizer),
                     hash(hashes, "test.bin")};
    return meta;
}

}  // namespace

std::optional<TokenMeta> read_token_meta(const std::filesystem::path& folder) {
    const auto file = folder / "meta.json";
    if (!std::filesystem::exists(file)) return std::nullopt;
    const auto advise = [&](const std::exception& e) {
        throw IoError(fmt::format(
            "{} is not a meta.json of Plumb: {}. Prepare the folder again: plumb data prepare ... "
            "--out {} --force; or, if the file is another program's, move it away and give "
            "data.vocab=N",
            file.string(), e.what(), shell_quoted(folder.string())));
    };
    const ordered_json j = read_json_object(file);
    try {
        return parse_meta(j, folder);
    } catch (const IoError& e) {
        advise(e);
    } catch (const UsageError& e) {  // of the tokenizer
        advise(e);
    }
    return std::nullopt;
}

std::optional<TokenMeta> text_meta(const std::filesystem::path& folder) {
    try {
        return read_token_meta(folder);
    } catch (const IoError&) {
        return std::nullopt;
    }
}

}  // namespace plumb
