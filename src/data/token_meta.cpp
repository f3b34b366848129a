#include "data/token_meta.h"

#include "core/json.h"
#include "core/text.h"

#include <algorithm>

namespace plumb {

using nlohmann::ordered_json;

std::string TokenMeta::to_json() const {
    ordered_json j;
    j["schema"] = 1;
    j["name"] = name;
    j["tokenizer"] = tokenizer.kind();
    j["vocab"] = tokenizer.vocab();
    if (!tokenizer.alphabet().empty()) j["chars"] = tokenizer.alphabet();
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
    return j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

bool TokenMeta::same_content(const TokenMeta& other) const {
    return tokenizer.alphabet() == other.tokenizer.alphabet() && dtype == other.dtype &&
           train.sha256 == other.train.sha256 && val == other.val && test == other.test;
}

namespace {

constexpr const char* kName = "meta.json";

// A refusal of this file; read_token_meta adds where it is and what to do.
[[noreturn]] void refuse(const std::string& what) { throw IoError(what); }

std::int64_t count(const ordered_json& j, const char* key) {
    const auto n = json_at<std::int64_t>(j, key, kName);
    if (n < 1) refuse(fmt::format("\"{}\" is {}, not at least 1", key, n));
    return n;
}

// A byte is one byte, a UTF-8 character one to four.
double bytes_per_token(const ordered_json& j, const char* key, const Tokenizer& tokenizer) {
    const auto n = json_at<double>(j, key, kName);
    const double most = tokenizer.alphabet().empty() ? 1 : 4;
    if (!(n >= 1 && n <= most))
        refuse(fmt::format("\"{}\" is {}; a token of a {} tokenizer has {}", key, n,
                           tokenizer.kind(), most == 1 ? "1 byte" : "1 to 4 bytes"));
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

Tokenizer tokenizer_of(const ordered_json& j) {
    const auto kind = json_at<std::string>(j, "tokenizer", kName);
    const auto chars = json_or(j, "chars", std::string{}, kName);
    Tokenizer tokenizer = Tokenizer::make(kind, chars);
    if (tokenizer.alphabet() != (kind == "char" ? chars : ""))
        refuse("\"chars\" are not the sorted characters of a char tokenizer");
    if (const auto vocab = json_at<std::int64_t>(j, "vocab", kName); vocab != tokenizer.vocab())
        refuse(fmt::format("\"vocab\" is {}, but the tokenizer has {}", vocab, tokenizer.vocab()));
    return tokenizer;
}

TokenMeta parse_meta(const ordered_json& j) {
    if (json_at<std::int64_t>(j, "schema", kName) != 1) refuse("\"schema\" is not 1");
    TokenMeta meta;
    meta.name = json_at<std::string>(j, "name", kName);
    meta.tokenizer = tokenizer_of(j);
    meta.dtype = json_or(j, "dtype", meta.dtype, kName);
    if (meta.dtype != "uint16" && meta.dtype != "uint32")
        refuse("\"dtype\" is neither uint16 nor uint32");
    meta.bytes = count(j, "bytes");
    if (!j.contains("sha256")) refuse("\"sha256\" is missing");
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
        return parse_meta(j);
    } catch (const IoError& e) {
        advise(e);
    } catch (const UsageError& e) {  // of the tokenizer
        advise(e);
    }
    return std::nullopt;
}

}  // namespace plumb
