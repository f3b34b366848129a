#include "train/token_files.h"

#include "core/rng.h"
#include "core/sha256.h"
#include "core/text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

namespace plumb {

static_assert(std::endian::native == std::endian::little, "token files are little-endian");

// ---- Memory-mapped files -----------------------------------------------------------------------

MappedTokens::MappedTokens(const std::filesystem::path& file) {
    const std::string name = file.string(), folder = file.parent_path().string();
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        throw IoError(
            fmt::format("cannot open {}: {}. Make the folder with: plumb data prepare "
                        "austen --out {}",
                        name, std::strerror(errno), folder));
    struct stat info {};
    const bool is_file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    const auto n_bytes = static_cast<std::size_t>(info.st_size);
    void* mapped = MAP_FAILED;
    if (is_file && n_bytes > 0 && n_bytes % 2 == 0)
        mapped = ::mmap(nullptr, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (mapped == MAP_FAILED)
        throw IoError(fmt::format(
            "{} {}. Prepare it again: plumb data prepare ... --out {} --force", name,
            !is_file       ? std::string("is not a file")
            : n_bytes == 0 ? std::string("is empty")
            : n_bytes % 2  ? fmt::format("has {} bytes, an odd number: truncated, or not uint16 "
                                          "tokens",
                                         n_bytes)
                           : std::string("cannot be memory-mapped"),
            folder));
    tokens_ = {static_cast<const std::uint16_t*>(mapped), n_bytes / 2};
}

MappedTokens::~MappedTokens() {
    ::munmap(const_cast<std::uint16_t*>(tokens_.data()), tokens_.size_bytes());
}

std::string MappedTokens::sha256() const {
    Sha256 hash;
    hash.update(tokens_.data(), tokens_.size_bytes());
    return hash.hex();
}

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
    return static_cast<Index>(sequence % n * static_cast<std::uint64_t>(stride) % n) * context;
}

// ---- The dataset -------------------------------------------------------------------------------

namespace {

class TokenFiles : public Dataset {
public:
    TokenFiles(const std::filesystem::path& folder, Index context)
        : folder_(folder),
          context_(context),
          meta_(read_token_meta(folder)),
          train_(folder / "train.bin"),
          val_(folder / "val.bin") {
        vocab_ = meta_ ? meta_->tokenizer.vocab() : 0;
        admit("train.bin", train_, meta_ ? meta_->train_tokens : 0);
        admit("val.bin", val_, meta_ ? meta_->val_tokens : 0);
    }

    Index vocab() const override { return vocab_; }
    double bytes_per_token() const override { return meta_ ? meta_->bytes_per_token : 0; }

    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override {
        fill(train_.tokens(), index, tokens, targets, [&](std::uint64_t sequence, Index n_tokens) {
            return train_window(seed, sequence, n_tokens, context_);
        });
    }

    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override {
        fill(val_.tokens(), index, tokens, targets, [&](std::uint64_t sequence, Index n_tokens) {
            return val_window(sequence, n_tokens, context_);
        });
    }

    std::string describe() const override {
        const std::string tokenizer =
            meta_ ? fmt::format("{} tokens, vocabulary {}", meta_->tokenizer.kind(), vocab_)
                  : fmt::format("no meta.json: vocabulary {} = largest token + 1, no text, no bpb",
                                vocab_);
        return fmt::format("{} ({}), {} train + {} val, {}", folder_.string(),
                           meta_ ? meta_->name : "token files", count(train_), count(val_),
                           tokenizer);
    }

    std::string fingerprint() const override {
        const std::string train = train_.sha256(), val = val_.sha256();
        if (meta_ && (train != meta_->train_sha256 || val != meta_->val_sha256))
            throw IoError(fmt::format(
                "{}/{} is not the file that meta.json describes: its SHA-256 differs. Prepare it "
                "again: plumb data prepare ... --out {} --force",
                folder_.string(), train != meta_->train_sha256 ? "train.bin" : "val.bin",
                folder_.string()));
        return sha256_hex(fmt::format("{}\n{}\n{}\n{}", train, val,
                                      meta_ ? meta_->tokenizer.kind() : "none",
                                      meta_ ? meta_->tokenizer.alphabet() : ""));
    }

    std::string decode(std::span<const std::int32_t> tokens) const override {
        return meta_ ? meta_->tokenizer.decode(tokens) : Dataset::decode(tokens);
    }
    std::vector<std::int32_t> encode(std::string_view text) const override {
        return meta_ ? meta_->tokenizer.encode(text) : Dataset::encode(text);
    }

private:
    static std::string count(const MappedTokens& file) {
        return thousands(static_cast<long long>(file.tokens().size()));
    }

    // Length as promised, long enough for one window, every token inside the vocabulary.
    void admit(const char* name, const MappedTokens& file, std::int64_t promised) {
        const auto tokens = file.tokens();
        const auto n = static_cast<Index>(tokens.size());
        const std::string path = (folder_ / name).string();
        const std::string again = fmt::format(
            "Prepare it again: plumb data prepare ... --out {} --force", folder_.string());
        if (meta_ && n != promised)
            throw IoError(
                fmt::format("{} has {} tokens but meta.json says {}: truncated or from "
                            "another text. {}",
                            path, n, promised, again));
        if (n < context_ + 1)
            throw UsageError(
                fmt::format("{} has {} tokens; model.context={} needs at least {}. "
                            "Type a smaller model.context, or prepare more text",
                            path, n, context_, context_ + 1));
        const Index largest = *std::max_element(tokens.begin(), tokens.end());
        if (!meta_) vocab_ = std::max(vocab_, largest + 1);
        if (largest >= vocab_)
            throw IoError(
                fmt::format("{} holds token {}, outside the vocabulary of {} in "
                            "meta.json. {}",
                            path, largest, vocab_, again));
    }

    template <class Window>
    void fill(std::span<const std::uint16_t> file, std::uint64_t index, View<std::int32_t> tokens,
              View<std::int32_t> targets, Window window) const {
        check_batch(tokens, targets, context_);
        const auto n_rows = static_cast<std::uint64_t>(tokens.extent(0));
        for (std::uint64_t b = 0; b < n_rows; ++b) {
            const Index start = window(index * n_rows + b, static_cast<Index>(file.size()));
            const auto text = file.subspan(static_cast<std::size_t>(start),
                                           static_cast<std::size_t>(context_) + 1);
            const auto row = static_cast<Index>(b);
            std::copy(text.begin(), text.end() - 1, tokens.row(row));
            std::copy(text.begin() + 1, text.end(), targets.row(row));
        }
    }

    std::filesystem::path folder_;
    Index context_;
    std::optional<TokenMeta> meta_;
    MappedTokens train_, val_;
    Index vocab_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_token_files(const std::string& folder, Index context) {
    if (!std::filesystem::is_directory(folder))
        throw IoError(
            fmt::format("data.path={}: no such folder. Make it with: plumb data prepare "
                        "austen --out {}",
                        folder, folder));
    return std::make_unique<TokenFiles>(folder, context);
}

}  // namespace plumb
