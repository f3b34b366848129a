#include "core/sha256.h"

#include "catch.h"

using namespace plumb;

// FIPS 180-4 / NIST CAVP example vectors.
TEST_CASE("sha256 of the standard's examples") {
    CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256_hex(std::string(1000000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 does not depend on how the bytes are cut") {
    for (const std::size_t size : {55u, 56u, 63u, 64u, 65u, 119u, 120u, 128u, 300u}) {
        const std::string text(size, 'x');
        Sha256 pieces;
        for (std::size_t i = 0; i < size; i += 7)
            pieces.update(text.data() + i, std::min<std::size_t>(7, size - i));
        INFO("size " << size);
        CHECK(pieces.hex() == sha256_hex(text));
    }
}
