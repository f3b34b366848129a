// An .rdb is a row of objects: uncompressed length (4 bytes, big endian), then a zlib stream. An
// object is R's XDR serialisation: "X\n", format version, R version, least R version, in version 3
// also the native encoding (length, name), then the value. A character vector is the item word
// 0x10 (STRSXP), a count, and per string an item word whose low byte is 9 (CHARSXP), a length (-1
// for NA) and the bytes. See "Serialization Formats" in R Internals.
#include "data/r_data.h"

#include "core/check.h"

#include <zlib.h>

namespace plumb {
namespace {

struct Reader {
    std::string_view bytes;
    const std::string& name;
    std::size_t at = 0;

    [[noreturn]] void fail(const char* what) const {
        throw IoError(fmt::format("{}: {} (offset {}); install the package again", name, what, at));
    }
    std::string_view take(std::size_t n) {
        if (n > bytes.size() - at) fail("ends early");
        at += n;
        return bytes.substr(at - n, n);
    }
    std::uint32_t word() {
        std::uint32_t value = 0;
        for (const char c : take(4)) value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }
};

// Inflates the object at file.at and moves past it.
std::string inflate_object(Reader& file) {
    const std::size_t size = file.word();
    const std::string_view rest = file.bytes.substr(file.at);
    constexpr std::size_t kMostShrinking = 1032;  // of zlib; a larger claim is not zlib's
    if (size / kMostShrinking > rest.size()) file.fail("not a zlib-compressed object");
    std::string object(size, '\0');
    z_stream stream{};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest.data()));
    stream.avail_in = static_cast<uInt>(rest.size());
    stream.next_out = reinterpret_cast<Bytef*>(object.data());
    stream.avail_out = static_cast<uInt>(object.size());
    if (inflateInit(&stream) != Z_OK) file.fail("zlib cannot start");
    const int status = inflate(&stream, Z_FINISH);
    const bool whole = status == Z_STREAM_END && stream.avail_out == 0;
    file.at += stream.total_in;
    inflateEnd(&stream);
    if (!whole) file.fail("not a whole zlib stream");
    return object;
}

std::vector<std::string> read_lines(Reader object) {
    if (object.take(2) != "X\n") object.fail("not R's XDR serialisation");
    const std::uint32_t version = object.word();
    if (version != 2 && version != 3) object.fail("unknown serialisation version");
    object.take(8);
    if (version == 3) object.take(object.word());
    if (object.word() != 16) object.fail("not a plain character vector");
    std::vector<std::string> lines;
    for (std::uint32_t n = object.word(); n > 0; --n) {
        if ((object.word() & 0xff) != 9) object.fail("a string record was expected");
        const std::uint32_t length = object.word();
        lines.emplace_back(length == 0xffffffff ? std::string_view{} : object.take(length));
    }
    return lines;
}

}  // namespace

std::vector<std::vector<std::string>> read_r_lines(std::string_view rdb, const std::string& name) {
    std::vector<std::vector<std::string>> objects;
    Reader file{rdb, name};
    while (file.at < rdb.size()) {
        const std::string object = inflate_object(file);
        objects.push_back(read_lines({object, name}));
    }
    return objects;
}

}  // namespace plumb
