#include "data/token_bin.h"

#include "core/check.h"
#include "core/files.h"
#include "core/sha256.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

namespace plumb {

static_assert(std::endian::native == std::endian::little, "token files are little-endian");

namespace {

constexpr std::size_t kHeaderBytes = 1024;

struct LlmcFormat {
    std::int32_t magic, version;
    const char* type;
};
constexpr LlmcFormat kLlmc[]{{20240520, 1, "uint16"}, {20240801, 7, "uint32"}};

// Token i of a piece.
std::uint32_t token_at(const unsigned char* bytes, std::size_t width, std::size_t i) {
    std::uint32_t token = 0;
    std::memcpy(&token, bytes + i * width, width);
    return token;
}

}  // namespace

// ---- Opening -----------------------------------------------------------------------------------

TokenBin::TokenBin(const std::filesystem::path& file, const std::string& type)
    : path_(file), type_(type) {
    require(type == "auto" || type == "uint16" || type == "uint32", "unknown type " + type);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) throw_io_error("open", path_, errno);
    try {
        struct stat info {};
        if (::fstat(fd_, &info) != 0) throw_io_error("read", path_, errno);
        if (!S_ISREG(info.st_mode)) refuse("is not a file");
        stamp_ = stamp();
        if (stamp_.size == 0) refuse("is empty");
        read_header();
        scan();
    } catch (...) {
        ::close(fd_);
        throw;
    }
}

TokenBin::~TokenBin() { ::close(fd_); }

void TokenBin::refuse(const std::string& what) const {
    throw IoError(fmt::format("{} {}", path_.string(), what));
}

void TokenBin::read_header() {
    std::array<std::int32_t, 3> header{};
    const auto n_bytes = static_cast<std::size_t>(stamp_.size);
    const bool long_enough = n_bytes >= kHeaderBytes;
    if (long_enough && read_bytes(0, header.data(), sizeof header) != sizeof header)
        refuse("was cut short while it was opened");
    for (const LlmcFormat& format : kLlmc) {
        if (!long_enough || header[0] != format.magic || header[1] != format.version) continue;
        if (type_ != "auto" && type_ != format.type)
            refuse(fmt::format("has llm.c's header for {} tokens, but data.dtype={}; leave it out",
                               format.type, type_));
        type_ = format.type;
        header_ = kHeaderBytes;
    }
    width_ = type_ == "uint32" ? 4 : 2;
    const std::size_t rest = n_bytes - header_;
    if (rest % width_ != 0)
        refuse(fmt::format(
            "has {} bytes{}, not whole {} tokens: it is cut short or of another "
            "type. Prepare it again, or say data.dtype=uint16 or uint32",
            rest, header_ > 0 ? " after its header" : "", type_ == "auto" ? "uint16" : type_));
    size_ = static_cast<Index>(rest / width_);
    if (header_ > 0 && header[2] != size_)
        refuse(fmt::format("holds {} tokens, but its header says {}: it is cut short or damaged",
                           size_, header[2]));
    if (size_ == 0) refuse("holds no tokens");
}

std::string TokenBin::format() const {
    return header_ > 0 ? type_ + " after llm.c's header" : type_;
}

// Finds the largest token and, where nobody said it, the type. A uint32 file read as 16-bit words
// has the upper halves of its tokens in every second place: 0, or up to 3 where the vocabulary is
// one of today's largest.
void TokenBin::scan() {
    constexpr std::uint32_t kLargestUpperHalf = 3;
    std::array<std::uint32_t, 2> largest{};  // at even and odd places
    for_each_piece(header_, [&](const unsigned char* bytes, std::size_t n) {
        for (std::size_t i = 0; i < n / width_; ++i)  // pieces hold an even number
            largest[i % 2] = std::max(largest[i % 2], token_at(bytes, width_, i));
    });
    largest_ = std::max(largest[0], largest[1]);
    if (type_ != "auto") return;
    type_ = "uint16";
    if (size_ % 2 == 0 && largest[1] <= kLargestUpperHalf && largest[0] > 4 * (largest[1] + 1))
        refuse(fmt::format(
            "looks like uint32 tokens: every second 16-bit number is at most {}. Type "
            "data.dtype=uint32 if it is, or data.dtype=uint16 if the tokens really are that way",
            largest[1]));
}

// ---- Reading -----------------------------------------------------------------------------------

// What is there, up to n bytes.
std::size_t TokenBin::read_bytes(std::size_t at, void* to, std::size_t n) const {
    std::size_t got = 0;
    while (got < n) {
        const ssize_t k =
            ::pread(fd_, static_cast<char*>(to) + got, n - got, static_cast<off_t>(at + got));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) throw_io_error("read", path_, errno);
        if (k == 0) break;
        got += static_cast<std::size_t>(k);
    }
    return got;
}

template <class Visit>
void TokenBin::for_each_piece(std::size_t at, Visit&& visit) const {
    std::vector<unsigned char> piece(1 << 20);
    const auto end = static_cast<std::size_t>(stamp_.size);
    while (at < end) {
        const std::size_t n = std::min(piece.size(), end - at);
        if (read_bytes(at, piece.data(), n) != n) refuse("was cut short while it was read");
        visit(piece.data(), n);
        at += n;
    }
}

void TokenBin::read(Index begin, std::span<std::int32_t> out) const {
    require(begin >= 0 && begin + std::ssize(out) <= size_, "tokens beyond the end of a file");
    check_unchanged();
    std::array<unsigned char, 8192> piece;
    const auto largest_allowed =
        limit_ > 0 ? limit_ - 1 : Index{std::numeric_limits<std::int32_t>::max()};
    for (std::size_t done = 0; done < out.size();) {
        const std::size_t n = std::min(piece.size() / width_, out.size() - done);
        const std::size_t at = header_ + (static_cast<std::size_t>(begin) + done) * width_;
        if (read_bytes(at, piece.data(), n * width_) != n * width_)
            refuse("was cut short while it was in use");
        for (std::size_t i = 0; i < n; ++i) {
            const Index token = token_at(piece.data(), width_, i);
            if (token > largest_allowed)
                refuse(
                    fmt::format("holds token {}, outside the vocabulary of {}: it was changed "
                                "while it was in use",
                                token, limit_));
            out[done + i] = static_cast<std::int32_t>(token);
        }
        done += n;
    }
}

// ---- Change ------------------------------------------------------------------------------------

TokenBin::Stamp TokenBin::stamp() const {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) throw_io_error("read", path_, errno);
    return {info.st_size, info.st_mtim};
}

void TokenBin::check_unchanged() const {
    const Stamp now = stamp();
    if (now == stamp_) return;
    if (now.size != stamp_.size)
        refuse(fmt::format("changed while it was in use: it had {} bytes and has {} now",
                           stamp_.size, now.size));
    if (sha256_.empty() || hash_file() != sha256_)
        refuse("changed while it was in use: it was written to");
    stamp_ = now;
}

std::string TokenBin::hash_file() const {
    Sha256 hash;
    for_each_piece(0, [&](const unsigned char* bytes, std::size_t n) { hash.update(bytes, n); });
    return hash.hex();
}

const std::string& TokenBin::sha256() const {
    if (sha256_.empty()) {
        std::string hash = hash_file();
        check_unchanged();
        sha256_ = std::move(hash);
    }
    return sha256_;
}

}  // namespace plumb
