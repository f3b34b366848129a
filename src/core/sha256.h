// SHA-256 (FIPS 180-4): names corpora and token files in manifests. Tested on the standard's
// vectors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace plumb {

class Sha256 {
public:
    void update(const void* data, std::size_t n_bytes);
    // 64 hexadecimal digits. Call once; the object is spent afterwards.
    std::string hex();

private:
    void compress(const unsigned char* block);

    std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<unsigned char, 64> buffer_{};
    std::uint64_t n_bytes_ = 0;
};

std::string sha256_hex(std::string_view text);

}  // namespace plumb
