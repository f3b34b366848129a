#include "run/run_text.h"

#include "core/files.h"
#include "core/json.h"
#include "data/token_meta.h"

#include <limits>

namespace plumb {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& run) { return run / "data"; }

class Numbers final : public RunText {
public:
    explicit Numbers(Index vocab) : vocab_(vocab) {}
    Index vocab() const override { return vocab_; }
    bool is_text() const override { return false; }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return encode_numbers(text, vocab_);
    }
    std::string decode(std::span<const std::int32_t> tokens) const override {
        return decode_numbers(tokens);
    }

private:
    Index vocab_;
};

class Text final : public RunText {
public:
    explicit Text(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}
    Index vocab() const override { return tokenizer_.vocab(); }
    bool is_text() const override { return true; }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return tokenizer_.encode(text);
    }
    std::string decode(std::span<const std::int32_t> tokens) const override {
        return tokenizer_.decode(tokens);
    }

private:
    Tokenizer tokenizer_;
};

// Schema 1: the data themselves.
class OfDataset final : public RunText {
public:
    explicit OfDataset(std::unique_ptr<Dataset> data) : data_(std::move(data)) {}
    Index vocab() const override { return data_->vocab(); }
    bool is_text() const override { return data_->bytes_per_token() > 0; }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return data_->encode(text);
    }
    std::string decode(std::span<const std::int32_t> tokens) const override {
        return data_->decode(tokens);
    }

private:
    std::unique_ptr<Dataset> data_;
};

std::optional<Index> vocab_without_tokenizer(const fs::path& file) {
    const auto json = read_json_object(file);
    if (json_or<std::string>(json, "tokenizer", "", file.string()) != "none") return std::nullopt;
    const auto vocab = json_at<std::int64_t>(json, "vocab", file.string());
    if (vocab < 1 || vocab > std::numeric_limits<std::int32_t>::max())
        throw IoError(fmt::format("{}: \"vocab\" is {}", file.string(), vocab));
    return vocab;
}

}  // namespace

void save_run_text(const fs::path& run, const Dataset& data) {
    const fs::path file = folder_of(run) / "meta.json";
    if (fs::exists(file)) return;
    make_folder(folder_of(run));
    const auto files = data.meta_files();
    for (const auto& [name, content] : files)
        if (name != "meta.json") write_file(folder_of(run) / name, content);
    write_file(file, files.at("meta.json"));
}

std::unique_ptr<RunText> open_run_text(const fs::path& run, const DataConfig& config,
                                       Index context) {
    const fs::path file = folder_of(run) / "meta.json";
    std::error_code ignored;
    if (!fs::exists(file, ignored))
        return std::make_unique<OfDataset>(open_dataset(config, context));
    if (const auto vocab = vocab_without_tokenizer(file)) return std::make_unique<Numbers>(*vocab);
    try {
        return std::make_unique<Text>(read_token_meta(folder_of(run))->tokenizer);
    } catch (const IoError&) {
        throw IoError(fmt::format(
            "{}, or a file of the tokenizer beside it, is damaged; copy them again from the data "
            "the run was trained on{}",
            file.string(), config.path.empty() ? "" : fmt::format(" ({}/meta.json)", config.path)));
    }
}

}  // namespace plumb
