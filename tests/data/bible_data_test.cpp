#include "data/bible_data.h"

#include "catch.h"
#include "core/check.h"
#include "support/hex.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// What ncompress 4.2.4.6 wrote for cubes(90), without its three first bytes: 308 codes, of which
// those past the 256th have ten bits.
const std::string kCubes = from_hex(
    "3058c4608183858c1b2c6cd01028a386c1183658cca03183458d183258dc909143208c8f0267cc1818636341"
    "193172203c4863a1c81b0e69c0c81191468e18156be09891d1068e1a1d717c0c9843860d92301416c4081121"
    "4e1c3216c6a861a3a140983722a6f45911658e1a19a3cec0d1f1e050832a6f4a3ce85322d0190867e4980163"
    "210d193860b2a061c306558b496be4a49137e3db94096582f45974e00d99380adef80a03e1cf183816dec4e8"
    "50a548ad30c6caa81823060ca0194b67b5c9b0c6599c462f0a946903c652c2799dd678ac50605fb80e4b5285"
    "28f0f25c815f4b873d0db72cc4b3328ce6c03170f44ebc065dd75d5935464b83bcade27d4c53e2c7ac1547b6"
    "e4b9f6e74c8914cfced8bd59e20d9e842592855172efe9e876a194574c63a9541355825544c3633580b5d75c"
    "a17574910c6709e61d0d033588535bbb9594974545dd505742de7196d00cb5fde5977b15f9e4dd461ad54553"
    "47");

std::string cubes(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += std::to_string(i * i * i) + ",";
    return text;
}

std::string bible_file(std::size_t window, const std::vector<std::string>& windows) {
    std::string file = "EC02Compressed Data File";
    file.resize(0x54, '\0');
    file += big_endian(window) + big_endian(windows.size());
    std::size_t at = file.size() + 4 * (windows.size() + 1);
    for (const std::string& w : windows) file += big_endian(at), at += w.size();
    file += big_endian(at);
    for (const std::string& w : windows) file += w;
    return file;
}

}  // namespace

TEST_CASE("LZW codes of `compress` are expanded") {
    CHECK(expand_lzw(kCubes, 543, "x") == cubes(90));
    // A code that names the string it is about to add, four times.
    CHECK(expand_lzw(from_hex("61c4041c18a6a0c1836100"), 18, "x") == "abababaaaaaaaaaaaa");
    CHECK(expand_lzw("", 0, "x").empty());
    CHECK(expand_lzw(from_hex("610002ffff"), 18, "x") == "a");  // 256 ends it
    CHECK_THROWS_AS(expand_lzw(kCubes, 542, "x"), IoError);
    for (const char* bad : {"ffff", "6100ff"})
        CHECK_THROWS_WITH(expand_lzw(from_hex(bad), 99, "bible.data"), contains_text("bible.data"));
}

TEST_CASE("a bible data file gives its text less the title") {
    const std::string first = from_hex("61c4041c18a6a0c1836100");  // abababaaaaaaaaaaaa
    const std::string title = from_hex("0a");                      // too few bits for a code
    const std::string line = from_hex("0ac200");                   // "\na"
    CHECK(read_bible_data(bible_file(18, {first, line}), "x") == "a");
    CHECK_THROWS_AS(read_bible_data(bible_file(18, {first}), "x"), IoError);         // no title
    CHECK_THROWS_AS(read_bible_data(bible_file(19, {first, line}), "x"), IoError);   // too short
    CHECK_THROWS_AS(read_bible_data(bible_file(18, {title, first}), "x"), IoError);  // too short
    CHECK_THROWS_AS(read_bible_data("EC03", "x"), IoError);
    const std::string whole = bible_file(18, {first, line});
    for (std::size_t n = 0; n < whole.size(); ++n)
        CHECK_THROWS_AS(read_bible_data(whole.substr(0, n), "x"), IoError);
    for (std::size_t i = 0x54; i < whole.size(); ++i) {  // any damage: text or an error, no crash
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ 0x81);
        try {
            read_bible_data(damaged, "x");
        } catch (const IoError&) {
        }
    }
}
