#include "train/token_meta.h"

#include "core/check.h"

#include <nlohmann/json.hpp>

#include <fstream>

namespace plumb {

using nlohmann::ordered_json;

std::string TokenMeta::to_json() const {
    ordered_json j;
    j["schema"] = 1;
    j["name"] = name;
    j["tokenizer"] = tokenizer.kind();
    j["vocab"] = tokenizer.vocab();
    if (!tokenizer.alphabet().empty()) j["chars"] = tokenizer.alphabet();
    j["bytes"] = bytes;
    j["bytes_per_token"] = bytes_per_token;
    j["train_tokens"] = train_tokens;
    j["val_tokens"] = val_tokens;
    j["sha256"] = {{"text", text_sha256}, {"train.bin", train_sha256}, {"val.bin", val_sha256}};
    return j.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

bool TokenMeta::same_content(const TokenMeta& other) const {
    return tokenizer.alphabet() == other.tokenizer.alphabet() &&
           train_sha256 == other.train_sha256 && val_sha256 == other.val_sha256;
}

std::optional<TokenMeta> read_token_meta(const std::filesystem::path& folder) {
    const auto file = folder / "meta.json";
    if (!std::filesystem::exists(file)) return std::nullopt;
    try {
        std::ifstream in(file);
        const ordered_json j = ordered_json::parse(in);
        if (j.at("schema") != 1) throw UsageError("schema is not 1");
        TokenMeta meta;
        meta.name = j.at("name");
        meta.tokenizer =
            Tokenizer::make(j.at("tokenizer").get<std::string>(), j.value("chars", std::string{}));
        if (j.at("vocab") != meta.tokenizer.vocab())
            throw UsageError(fmt::format("vocab is {}, but the tokenizer has {}",
                                         j.at("vocab").dump(), meta.tokenizer.vocab()));
        meta.bytes = j.at("bytes");
        meta.bytes_per_token = j.at("bytes_per_token");
        meta.train_tokens = j.at("train_tokens");
        meta.val_tokens = j.at("val_tokens");
        const ordered_json& hashes = j.at("sha256");
        meta.text_sha256 = hashes.at("text");
        meta.train_sha256 = hashes.at("train.bin");
        meta.val_sha256 = hashes.at("val.bin");
        return meta;
    } catch (const std::exception& e) {
        throw IoError(
            fmt::format("{} is not a meta.json of Plumb: {}. Prepare the folder again: "
                        "plumb data prepare ... --out {} --force",
                        file.string(), e.what(), folder.string()));
    }
}

}  // namespace plumb
