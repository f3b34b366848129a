#include "data/token_files.h"

#include "core/files.h"
#include "core/rng.h"
#include "core/sha256.h"
#include "core/text.h"
#include "data/bpe_files.h"
#include "data/nanogpt_meta.h"
#include "data/token_bin.h"
#include "data/token_folder.h"
#include "data/token_meta.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace plumb {
namespace fs = std::filesystem;

// ---- Windows -----------------------------------------------------------------------------------

Index train_window(std::uint64_t seed, std::uint64_t sequence, Index n_tokens, Index context) {
    const auto n_windows = static_cast<std::uint64_t>(n_tokens - context);
    return static_cast<Index>(CounterRng(seed, "data").below(sequence, n_windows));
}

Index val_window(std::uint64_t sequence, Index n_tokens, Index context) {
    const Index n_windows = (n_tokens - 1) / context;
    Index stride = std::max<Index>(1, std::llround(static_cast<double>(n_windows) * 0.6180339887));
    while (std::gcd(stride, n_windows) != 1) ++stride;  // coprime: every window once per round
    const auto n = static_cast<std::uint64_t>(n_windows);
    if (sequence >= n) return n_windows * context;  // the short one
    return static_cast<Index>(sequence * static_cast<std::uint64_t>(stride) % n) * context;
}

Index n_val_windows(Index n_tokens, Index context) {
    return (n_tokens - 1 + context - 1) / context;
}

// ---- The dataset -------------------------------------------------------------------------------

namespace {

// What the folder says of its tokens, whoever wrote it.
struct FolderMeta {
    std::optional<TokenMeta> meta;  // of meta.json
    std::string source;             // the file that says it, "" where there is none
    std::optional<Tokenizer> tokenizer;
    Index vocab = 0;  // 0: not said
};

FolderMeta read_folder_meta(const fs::path& folder) {
    if (auto meta = read_token_meta(folder)) {
        const Tokenizer tokenizer = meta->tokenizer;
        return {std::move(meta), "meta.json", tokenizer, tokenizer.vocab()};
    }
    const auto nanogpt = read_nanogpt_meta(folder);
    if (const auto files = nanogpt ? std::nullopt : find_bpe(folder)) {
        const Tokenizer tokenizer = Tokenizer::of(read_bpe(folder));
        return {{}, files->vocab.filename().string(), tokenizer, tokenizer.vocab()};
    }
    if (!nanogpt) return {};
    FolderMeta out{{}, "meta.pkl", {}, nanogpt->vocab};
    const std::string& characters = nanogpt->characters;
    if (characters.empty() || invalid_utf8(characters)) return out;
    // nanoGPT sorts its characters, as the char tokenizer does; any other order is not one.
    Tokenizer tokenizer = Tokenizer::chars_of(characters);
    if (tokenizer.definition() == characters && tokenizer.vocab() == nanogpt->vocab)
        out.tokenizer = std::move(tokenizer);
    return out;
}

std::string type_of(const DataConfig& config, const FolderMeta& folder) {
    if (!folder.meta) return config.dtype;
    if (config.dtype != "auto" && config.dtype != folder.meta->dtype)
        throw UsageError(fmt::format("data.dtype={}, but {}/meta.json says {}; leave it out",
                                     config.dtype, config.path, folder.meta->dtype));
    return folder.meta->dtype;
}

class TokenFiles : public Dataset {
public:
    TokenFiles(const DataConfig& config, Index context, EvalSplit split)
        : folder_(config.path),
          context_(context),
          about_(read_folder_meta(folder_)),
          train_(folder_ / "train.bin", type_of(config, about_)),
          val_(folder_ / "val.bin", type_of(config, about_)) {
        if (split == EvalSplit::test) open_test(type_of(config, about_));
        vocab_ = choose_vocab(config.vocab);
        const auto* meta = about_.meta ? &*about_.meta : nullptr;
        admit(train_, meta ? meta->train.tokens : 0);
        admit(val_, meta ? meta->val.tokens : 0);
        if (test_) admit(*test_, meta ? meta->test.tokens : 0);
        bytes_per_token_ = count_bytes_per_token();
    }

    Index vocab() const override { return vocab_; }
    double bytes_per_token() const override { return bytes_per_token_; }

    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        fill(train_, index, tokens, targets, [&](std::uint64_t sequence) {
            return train_window(seed, sequence, train_.size(), context_);
        });
    }

    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        const auto n = static_cast<std::uint64_t>(val_sequences());
        const Index size = scored().size();
        fill(scored(), index, tokens, targets, [&](std::uint64_t sequence) {
            return sequence < n ? val_window(sequence, size, context_) : size;
        });
    }
    Index val_sequences() const override { return n_val_windows(scored().size(), context_); }

    std::string describe() const override {
        std::string text =
            fmt::format("{} ({}), {} train + {} {}, ", folder_.string(),
                        about_.meta ? about_.meta->name : "token files", thousands(train_.size()),
                        thousands(scored().size()), test_ ? "test" : "val");
        if (about_.tokenizer)
            text += fmt::format("{} tokens, vocabulary {}", about_.tokenizer->kind(), vocab_);
        else
            text += fmt::format("{}: vocabulary {}, no text, no bpb",
                                about_.source.empty() ? "no meta.json" : about_.source, vocab_);
        return train_.format() == "uint16" ? text : text + ", " + train_.format();
    }

    std::string fingerprint() const override {
        if (about_.meta) {
            check_hash(train_, about_.meta->train);
            check_hash(val_, about_.meta->val);
            if (test_) check_hash(*test_, about_.meta->test);
        }
        return sha256_hex(fmt::format("{}\n{}\n{}\n{}", train_.sha256(), val_.sha256(),
                                      about_.tokenizer ? about_.tokenizer->kind() : "none",
                                      about_.tokenizer ? about_.tokenizer->definition() : ""));
    }

    std::map<std::string, std::string> meta_files() const override {
        if (about_.meta) return about_.meta->files();
        if (!about_.tokenizer) return Dataset::meta_files();
        TokenMeta meta;  // of another program's folder; the text itself is not known
        meta.name = "token files";
        meta.tokenizer = *about_.tokenizer;
        if (train_.format().starts_with("uint32")) meta.dtype = "uint32";
        meta.train = {train_.size(), 0, train_.sha256()};
        meta.val = {val_.size(), count_bytes(val_) / static_cast<double>(val_.size()),
                    val_.sha256()};
        meta.bytes = static_cast<std::int64_t>(count_bytes(train_) + count_bytes(val_));
        return meta.files();
    }

    std::optional<Tokenizer> tokenizer() const override { return about_.tokenizer; }
    std::string decode(std::span<const std::int32_t> tokens) const override {
        return about_.tokenizer ? about_.tokenizer->decode(tokens) : Dataset::decode(tokens);
    }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return about_.tokenizer ? about_.tokenizer->encode(text) : Dataset::encode(text);
    }

private:
    const TokenBin& scored() const { return test_ ? *test_ : val_; }

    void open_test(const std::string& type) {
        if (!fs::exists(folder_ / "test.bin") || (about_.meta && about_.meta->test.tokens == 0))
            throw UsageError(fmt::format(
                "{} has no test split; prepare it with one: plumb data prepare ... --test-fraction "
                "0.05 --out DIR",
                folder_.string()));
        test_ = std::make_unique<TokenBin>(folder_ / "test.bin", type);
    }

    Index choose_vocab(Index wanted) const {
        if (wanted == 0 && about_.vocab > 0) return about_.vocab;
        if (wanted > 0 && wanted < about_.vocab)
            throw UsageError(fmt::format("data.vocab={} is less than the {} of {}/{}; leave it out",
                                         wanted, about_.vocab, folder_.string(), about_.source));
        if (wanted > 0) return wanted;
        constexpr Index kLargestGuess = Index{1} << 20;
        const Index vocab = std::max(train_.largest(), val_.largest()) + 1;
        if (vocab > kLargestGuess)
            throw UsageError(fmt::format(
                "{} holds token {}, which is no likely vocabulary: are its numbers of another type "
                "than {} (data.dtype)? If not, give the vocabulary: data.vocab={}",
                folder_.string(), vocab - 1, train_.format(), vocab));
        return vocab;
    }

    // Length as promised, long enough for one window, every token inside the vocabulary.
    void admit(TokenBin& file, std::int64_t promised) const {
        const std::string path = file.path().string();
        const std::string again =
            fmt::format("Prepare it again: plumb data prepare ... --out {} --force",
                        shell_quoted(folder_.string()));
        if (about_.meta && file.size() != promised)
            throw IoError(
                fmt::format("{} has {} tokens but meta.json says {}: truncated or from "
                            "another text. {}",
                            path, file.size(), promised, again));
        if (file.size() < context_ + 1)
            throw UsageError(
                fmt::format("{} has {} tokens; model.context={} needs at least {}. "
                            "Type a smaller model.context, or prepare more text",
                            path, file.size(), context_, context_ + 1));
        if (file.largest() >= vocab_) {
            if (about_.meta)
                throw IoError(
                    fmt::format("{} holds token {}, outside the vocabulary of {} in meta.json. {}",
                                path, file.largest(), vocab_, again));
            throw UsageError(fmt::format(
                "{} holds token {}, outside the vocabulary of {}; type data.vocab={} or more", path,
                file.largest(), vocab_, file.largest() + 1));
        }
        file.limit(vocab_);
    }

    void check_hash(const TokenBin& file, const SplitMeta& meta) const {
        if (file.sha256() != meta.sha256)
            throw IoError(fmt::format(
                "{} is not the file that meta.json describes: its SHA-256 differs. Prepare it "
                "again: plumb data prepare ... --out {} --force",
                file.path().string(), shell_quoted(folder_.string())));
    }

    double count_bytes_per_token() const {
        if (about_.meta) return (test_ ? about_.meta->test : about_.meta->val).bytes_per_token;
        if (!about_.tokenizer) return 0;
        return count_bytes(scored()) / static_cast<double>(scored().size());
    }

    // Of the text that the tokens are.
    double count_bytes(const TokenBin& file) const {
        double n_bytes = 0;
        std::vector<std::int32_t> piece;
        for (Index at = 0; at < file.size(); at += std::ssize(piece)) {
            piece.resize(static_cast<std::size_t>(std::min<Index>(65536, file.size() - at)));
            file.read(at, piece);
            n_bytes += static_cast<double>(about_.tokenizer->decode(piece).size());
        }
        return n_bytes;
    }

    // Row b holds the tokens from window(sequence) on, and as targets the ones after them; what
    // lies past the end is token 0, not scored.
    template <class Window>
    void fill(const TokenBin& file, std::uint64_t index, View<std::int32_t> tokens,
              View<std::int32_t> targets, Window window) const {
        check_batch(tokens, targets, context_);
        const auto n_rows = static_cast<std::uint64_t>(tokens.extent(0));
        for (std::uint64_t b = 0; b < n_rows; ++b) {
            const Index start = window(index * n_rows + b);
            const Index n = std::clamp<Index>(file.size() - start - 1, 0, context_);
            std::int32_t *in = tokens.row(static_cast<Index>(b)),
                         *out = targets.row(static_cast<Index>(b));
            if (n > 0) {
                // Tokens start .. start + n: the first goes in, the rest out, all but the last in.
                file.read(start, {in, 1});
                file.read(start + 1, {out, static_cast<std::size_t>(n)});
                std::copy_n(out, n - 1, in + 1);
            }
            std::fill(in + n, in + context_, 0);
            std::fill(out + n, out + context_, -1);
        }
    }

    fs::path folder_;
    Index context_;
    FolderMeta about_;
    TokenBin train_, val_;
    std::unique_ptr<TokenBin> test_;  // what is scored, if it is there
    Index vocab_ = 0;
    double bytes_per_token_ = 0;
};

}  // namespace

bool holds_token_files(const fs::path& folder) {
    std::error_code ignored;
    return fs::exists(folder / "train.bin", ignored) && fs::exists(folder / "val.bin", ignored);
}

bool has_test_split(const DataConfig& config) {
    std::error_code ignored;
    const fs::path file = fs::path(config.path) / "test.bin";
    return !config.path.empty() && fs::exists(file, ignored) && fs::file_size(file, ignored) > 0;
}

std::unique_ptr<Dataset> open_token_files(const DataConfig& config, Index context,
                                          EvalSplit split) {
    const std::string& folder = config.path;
    if (fs::exists(folder) && !fs::is_directory(folder)) {
        const fs::path parent = fs::path(folder).parent_path();
        throw IoError(
            holds_token_files(parent)
                ? fmt::format("data.path={}: is a file; name the folder it is in: data.path={}",
                              folder, shell_quoted(parent.empty() ? "." : parent.string()))
                : fmt::format("data.path={}: is a file, not a folder of tokens. Make one from it, "
                              "then train on that: plumb data prepare {} --out DIR",
                              folder, shell_quoted(folder)));
    }
    if (!fs::is_directory(folder))
        throw IoError(
            fmt::format("data.path={}: no such folder. Make it from the text it is to hold: plumb "
                        "data prepare TEXT --out {} (TEXT: austen, kjv or files)",
                        folder, shell_quoted(folder)));
    if (is_unfinished(folder))
        throw IoError(fmt::format(
            "data.path={}: `plumb data prepare` was interrupted before this folder was whole; type "
            "it again, the same command",
            folder));
    for (const char* name : {"train.bin", "val.bin"})
        if (!fs::exists(fs::path(folder) / name))
            throw IoError(fmt::format(
                "data.path={}: has no {}. Make the folder with: plumb data prepare TEXT --out {}; "
                "files of another program need the names train.bin and val.bin (a link will do)",
                folder, name, shell_quoted(folder)));
    return std::make_unique<TokenFiles>(config, context, split);
}

}  // namespace plumb
