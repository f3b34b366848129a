#include "formats/npz.h"

#include "core/check.h"
#include "core/files.h"

#include <zlib.h>

#include <limits>
#include <map>

namespace plumb {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();

// Little-endian integers of a zip header, one after the other.
class Fields {
public:
    Fields& u16(std::uint64_t x) { return put(x, 2); }
    Fields& u32(std::uint64_t x) { return put(x, 4); }
    const std::string& text() const { return text_; }

private:
    Fields& put(std::uint64_t x, int bytes) {
        for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(x >> (8 * i));
        return *this;
    }
    std::string text_;
};

struct Entry {
    std::string name, header;  // of the .npy
    const void* data;
    std::uint64_t n_bytes, crc, offset;
};

// NEP 1, version 1.0: magic, length, a Python dictionary padded so that the data start on 64 bytes.
std::string npy_header(const TensorRef& t) {
    static const std::map<std::string, std::string> types{
        {"F64", "<f8"}, {"F32", "<f4"}, {"I64", "<i8"}, {"I32", "<i4"}};
    require(types.count(t.dtype) > 0, "npz: no type " + t.dtype);
    std::string shape;
    for (const Index n : t.shape) shape += fmt::format("{}, ", n);
    std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   types.at(t.dtype), shape);
    constexpr std::size_t kFixed = 10;
    text.resize((kFixed + text.size() + 1 + 63) / 64 * 64 - kFixed, ' ');
    text.back() = '\n';
    return std::string("\x93NUMPY\x01\x00", 8) + Fields().u16(text.size()).text() + text;
}

std::uint64_t checksum(const Entry& e) {
    const auto* header = reinterpret_cast<const Bytef*>(e.header.data());
    const uLong start = ::crc32_z(0, header, e.header.size());
    return ::crc32_z(start, static_cast<const Bytef*>(e.data), e.n_bytes);
}

// The fields that a local header and the directory share: version .. name length (APPNOTE 4.3.7).
void common(Fields& f, const Entry& e) {
    constexpr int kVersion = 20, kStored = 0, kTime = 0, kDate = (1 << 5) | 1;  // 1980-01-01
    const std::uint64_t size = e.header.size() + e.n_bytes;
    f.u16(kVersion).u16(0).u16(kStored).u16(kTime).u16(kDate);
    f.u32(e.crc).u32(size).u32(size).u16(e.name.size()).u16(0);
}

}  // namespace

void write_npz(const std::filesystem::path& path, std::span<const TensorRef> arrays) {
    AtomicFile file(path);
    std::uint64_t offset = 0;
    const auto write = [&](const void* data, std::uint64_t n) {
        file.write(data, n);
        offset += n;
        if (offset > kMost)
            throw IoError(fmt::format("{}: more than 4 GiB, too much for an npz", path.string()));
    };
    std::string directory;
    for (const TensorRef& t : arrays) {
        Entry e{t.name + ".npy", npy_header(t), t.data, dtype_bytes(t.dtype), 0, offset};
        for (const Index n : t.shape) e.n_bytes *= static_cast<std::uint64_t>(n);
        e.crc = checksum(e);
        Fields local;
        common(local.u32(0x04034b50), e);
        write(local.text().data(), local.text().size());
        write(e.name.data(), e.name.size());
        write(e.header.data(), e.header.size());
        write(e.data, e.n_bytes);
        Fields central;
        common(central.u32(0x02014b50).u16(20), e);
        central.u16(0).u16(0).u16(0).u32(0).u32(e.offset);  // comment, disk, attributes, place
        directory += central.text() + e.name;
    }
    const std::uint64_t start = offset, n = arrays.size();
    require(n < 0xffff, "npz: too many arrays");
    Fields end;
    end.u32(0x06054b50).u16(0).u16(0).u16(n).u16(n).u32(directory.size()).u32(start).u16(0);
    write(directory.data(), directory.size());
    write(end.text().data(), end.text().size());
    file.commit();
}

}  // namespace plumb
