#include "data/nanogpt_meta.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/hex.h"
#include "support/temp_folder.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// What Python 3.11 pickles of nanoGPT's dictionary for the characters of "hello\n" and a pound
// sign.
const std::string kProtocol2 = from_hex(
    "80027d710028580a000000766f6361625f73697a6571014b06580400000069746f7371027d7103284b005801"
    "0000000a71044b0158010000006571054b0258010000006871064b0358010000006c71074b0458010000006f"
    "71084b055802000000c2a3710975580400000073746f69710a7d710b2868044b0068054b0168064b0268074b"
    "0368084b0468094b0575752e");
const std::string kProtocol4 = from_hex(
    "80049567000000000000007d94288c0a766f6361625f73697a65944b068c0469746f73947d94284b008c010a"
    "944b018c0165944b028c0168944b038c016c944b048c016f944b058c02c2a394758c0473746f69947d942868"
    "044b0068054b0168064b0268074b0368084b0468094b0575752e");
// {"vocab_size": 50304, "a": (1, 2, 3), "b": None, "c": 1.5, "d": [1, 2], "e": b"x", "f": -3,
//  "g": 10**12, "h": True}
const std::string kManyTypes = from_hex(
    "80049561000000000000007d94288c0a766f6361625f73697a65944d80c48c0161944b014b024b0387948c01"
    "62944e8c016394473ff80000000000008c0164945d94284b014b02658c016594430178948c0166944afdffff"
    "ff8c0167948a060010a5d4e8008c01689488752e");
// {"vocab_size": an object that calls os.system("touch /tmp/E-pwned")}
const std::string kCalls = from_hex(
    "8004953d000000000000007d948c0a766f6361625f73697a65948c05706f736978948c0673797374656d9493"
    "948c12746f756368202f746d702f452d70776e65649485945294732e");

NanoGptMeta read(const std::string& bytes) {
    const TempFolder folder;
    write_file(folder / "meta.pkl", bytes);
    const auto meta = read_nanogpt_meta(folder.path());
    REQUIRE(meta);
    return *meta;
}

}  // namespace

TEST_CASE("nanoGPT's meta.pkl gives vocabulary and characters", "[data]") {
    for (const std::string& bytes : {kProtocol2, kProtocol4}) {
        CHECK(read(bytes).vocab == 6);
        CHECK(read(bytes).characters == "\nehlo\xc2\xa3");
    }
    CHECK(read(kManyTypes).vocab == 50304);
    CHECK(read(kManyTypes).characters.empty());
    const TempFolder folder;
    CHECK_FALSE(read_nanogpt_meta(folder.path()));
}

TEST_CASE("a pickle that would run something is refused, and nothing runs", "[data]") {
    CHECK_THROWS_AS(read(kCalls), IoError);
    CHECK_THROWS_WITH(read(kCalls), contains_text("meta.pkl") && contains_text("data.vocab=N") &&
                                        contains_text("instruction 0x93"));
    CHECK_FALSE(std::filesystem::exists("/tmp/E-pwned"));
    for (const char* bad :
         {"", ".", "}.", "K\x01.", "u.", "(u.", "h\x05.", "no pickle", "\x8a\x09"})
        CHECK_THROWS_AS(read(bad), IoError);
}

TEST_CASE("any damage to a pickle gives a result or an error that names it", "[data]") {
    for (std::size_t n = 0; n < kProtocol4.size(); ++n)
        CHECK_THROWS_AS(read(kProtocol4.substr(0, n)), IoError);
    for (std::size_t i = 0; i < kProtocol4.size(); ++i)
        for (const int flip : {0x01, 0x80, 0xff}) {
            std::string damaged = kProtocol4;
            damaged[i] = static_cast<char>(damaged[i] ^ flip);
            try {
                read(damaged);
            } catch (const IoError&) {
            }
        }
}
