// One file of tokens: little-endian uint16 (nanoGPT) or uint32 numbers, bare or after llm.c's
// header (256 int32: magic 20240520, version 1, count: uint16; 20240801, version 7, count: uint32).
//
// Tokens are read where they are wanted instead of being mapped into memory: a file that shrinks
// under a run would end a mapped reader by a signal. A file that changes is noticed by its size and
// time at the next read.
#pragma once

#include "core/view.h"

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace plumb {

class TokenBin {
public:
    // type: "uint16", "uint32", or "auto": what the header says, else uint16 unless every second
    // 16-bit word is (nearly) zero, as it is in a file of uint32. Reads the whole file once. Throws
    // IoError for a file that is missing, empty, cut short, or surely not of that type, and says
    // what to type.
    TokenBin(const std::filesystem::path& file, const std::string& type);
    ~TokenBin();
    TokenBin(const TokenBin&) = delete;
    TokenBin& operator=(const TokenBin&) = delete;

    const std::filesystem::path& path() const { return path_; }
    Index size() const { return size_; }  // tokens
    std::string format() const;           // "uint16", "uint32 after llm.c's header"
    Index largest() const { return largest_; }

    // From now on a token >= vocab is an error.
    void limit(Index vocab) { limit_ = vocab; }
    // Tokens begin .. begin + out.size() - 1. Allocates nothing. Throws IoError if the file is not
    // what it was when it was opened, or holds a token outside the limit.
    void read(Index begin, std::span<std::int32_t> out) const;
    // Of the whole file. After this a file whose time changed but not its content is accepted.
    const std::string& sha256() const;

private:
    struct Stamp {
        off_t size = 0;
        timespec time{};
        bool operator==(const Stamp& o) const {
            return size == o.size && time.tv_sec == o.time.tv_sec && time.tv_nsec == o.time.tv_nsec;
        }
    };
    Stamp stamp() const;
    void check_unchanged() const;
    std::size_t read_bytes(std::size_t at, void* to, std::size_t n) const;
    // Calls visit(pointer, bytes) for pieces of whole tokens from byte `at` to the end.
    template <class Visit>
    void for_each_piece(std::size_t at, Visit&& visit) const;
    void read_header();
    void scan();
    [[noreturn]] void refuse(const std::string& what) const;
    std::string hash_file() const;

    std::filesystem::path path_;
    std::string type_;
    int fd_ = -1;
    std::size_t header_ = 0, width_ = 2;  // bytes
    Index size_ = 0, largest_ = 0, limit_ = 0;
    mutable Stamp stamp_;
    mutable std::string sha256_;
};

}  // namespace plumb
