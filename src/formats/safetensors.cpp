#include "formats/safetensors.h"

#include "core/files.h"
#include "core/json.h"
#include "core/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>

namespace plumb {
namespace fs = std::filesystem;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

namespace {

constexpr std::size_t kMaxHeader = 100'000'000;  // as the reference implementation

// Numbers times bytes; false if it does not fit.
bool byte_count(const std::vector<Index>& shape, std::size_t item, std::size_t& out) {
    out = item;
    for (const Index n : shape)
        if (__builtin_mul_overflow(out, static_cast<std::size_t>(n), &out)) return false;
    return true;
}

// Parses a header; a repeated name is an error, which JSON itself leaves open.
json parse_unique(std::string_view text) {
    std::vector<std::set<std::string>> names;
    const auto callback = [&names](int, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) names.emplace_back();
        if (event == json::parse_event_t::object_end) names.pop_back();
        if (event == json::parse_event_t::key &&
            !names.back().insert(value.get<std::string>()).second)
            throw std::runtime_error("the name " + value.dump() + " appears twice");
        return true;
    };
    return json::parse(text, callback);
}

}  // namespace

std::size_t dtype_bytes(std::string_view dtype) {
    static const std::map<std::string_view, std::size_t> table{
        {"F64", 8},  {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4}, {"U32", 4}, {"F16", 2},
        {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}};
    const auto found = table.find(dtype);
    return found == table.end() ? 0 : found->second;
}

std::string shape_text(std::span<const Index> shape) {
    return fmt::format("({})", fmt::join(shape, ", "));
}

// ---- writing -----------------------------------------------------------------------------------

std::string write_safetensors(const fs::path& path, std::span<const TensorRef> tensors,
                              const SafetensorsMetadata& metadata) {
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return dtype_bytes(tensors[a].dtype) > dtype_bytes(tensors[b].dtype);
    });

    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    std::set<std::string> names{"__metadata__"};
    std::vector<std::size_t> sizes(tensors.size());
    std::size_t offset = 0;
    for (const std::size_t i : order) {
        const TensorRef& t = tensors[i];
        require(names.insert(t.name).second, "tensor name given twice: " + t.name);
        const std::size_t item = dtype_bytes(t.dtype);
        require(item > 0, t.name + " has an unknown type: " + t.dtype);
        require(byte_count(t.shape, item, sizes[i]), t.name + " is too large");
        header[t.name] = {
            {"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {offset, offset + sizes[i]}}};
        offset += sizes[i];
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors start on 8 bytes
    const std::uint64_t length = text.size();

    AtomicFile file(path);
    Sha256 hash;  // of what was to be written, not of what can be read back
    const auto write = [&](const void* data, std::size_t n_bytes) {
        hash.update(data, n_bytes);
        file.write(data, n_bytes);
    };
    write(&length, sizeof length);
    write(text.data(), text.size());
    for (const std::size_t i : order) write(tensors[i].data, sizes[i]);
    file.commit();
    return hash.hex();
}

// ---- reading -----------------------------------------------------------------------------------

void SafetensorsFile::refuse(const std::string& reason) const {
    throw IoError(fmt::format("{} is not a usable safetensors file: {}", path_.string(), reason));
}

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
    SafetensorsFile file;
    file.path_ = path;
    std::string text = read_file(path);
    std::uint64_t length = 0;
    if (text.size() < sizeof length)
        file.refuse(fmt::format("it has {} bytes, fewer than a header's length", text.size()));
    std::memcpy(&length, text.data(), sizeof length);
    if (length > kMaxHeader)
        file.refuse(
            fmt::format("it announces a header of {} bytes; is it another kind of file?", length));
    if (length > text.size() - sizeof length)
        file.refuse(fmt::format("it is truncated: the header should have {} bytes, {} are there",
                                length, text.size() - sizeof length));
    file.read_header(std::string_view(text).substr(sizeof length, length));
    text.erase(0, sizeof length + length);
    file.data_ = std::move(text);
    file.check_layout();
    return file;
}

void SafetensorsFile::read_header(std::string_view text) {
    if (!text.starts_with('{')) refuse("its header does not start with '{'");
    json header;
    check_json_depth(text, path_.string());
    try {
        header = parse_unique(text);
    } catch (const std::exception& e) {
        refuse(fmt::format("its header is not valid JSON: {}", e.what()));
    }
    for (const auto& [name, value] : header.items()) {
        if (name != "__metadata__") {
            read_entry(name, value);
            continue;
        }
        if (!value.is_object()) refuse("__metadata__ is not an object");
        for (const auto& [key, item] : value.items()) {
            if (!item.is_string()) refuse("__metadata__ \"" + key + "\" is not text");
            metadata_[key] = item.get<std::string>();
        }
    }
}

void SafetensorsFile::read_entry(const std::string& name, const json& value) {
    const auto good_size = [](const json& n) {
        return n.is_number_unsigned() &&
               n.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<Index>::max());
    };
    const auto sizes = [&](const char* key) {
        std::vector<Index> out;
        for (const json& n : value.at(key)) {
            if (!good_size(n)) refuse(fmt::format("{} of {} is {}", key, name, n.dump()));
            out.push_back(n.get<Index>());
        }
        return out;
    };
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets") ||
        !value["dtype"].is_string() || !value["shape"].is_array() ||
        !value["data_offsets"].is_array())
        refuse(fmt::format("tensor {} needs exactly dtype, shape and data_offsets", name));
    const std::string dtype = value["dtype"].get<std::string>();
    const std::vector<Index> shape = sizes("shape");
    const std::vector<Index> offsets = sizes("data_offsets");
    const std::size_t item = dtype_bytes(dtype);
    if (item == 0) refuse(fmt::format("tensor {} has the unknown type {}", name, dtype));
    if (offsets.size() != 2 || offsets[0] > offsets[1])
        refuse(fmt::format("data_offsets of {} are {}", name, value["data_offsets"].dump()));
    const auto begin = static_cast<std::size_t>(offsets[0]);
    const auto end = static_cast<std::size_t>(offsets[1]);
    std::size_t expected = 0;
    if (!byte_count(shape, item, expected) || end - begin != expected)
        refuse(fmt::format("tensor {} {} {} does not fill its {} bytes", name, dtype,
                           shape_text(shape), end - begin));
    entries_[name] = Entry{dtype, shape, begin, end};
}

// Every byte belongs to exactly one tensor.
void SafetensorsFile::check_layout() const {
    std::vector<std::pair<std::pair<std::size_t, std::size_t>, std::string>> spans;
    spans.reserve(entries_.size());
    for (const auto& [name, e] : entries_) spans.push_back({{e.begin, e.end}, name});
    std::sort(spans.begin(), spans.end());
    std::size_t at = 0;
    for (const auto& [range, name] : spans) {
        if (range.first != at)
            refuse(
                fmt::format("a {} before tensor {}", range.first > at ? "hole" : "overlap", name));
        at = range.second;
    }
    if (at > data_.size())
        refuse(fmt::format("it is truncated: {} bytes of tensors should follow, {} do", at,
                           data_.size()));
    if (at < data_.size())
        refuse(fmt::format("{} bytes follow the last tensor", data_.size() - at));
}

// ---- access ------------------------------------------------------------------------------------

std::vector<std::string> SafetensorsFile::names() const {
    std::vector<std::string> out;
    out.reserve(entries_.size());
    for (const auto& [name, e] : entries_) out.push_back(name);
    return out;
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end())
        throw IoError(fmt::format("{} has no tensor '{}'; it has {}", path_.string(), name,
                                  fmt::join(names(), ", ")));
    return found->second;
}

const std::vector<Index>& SafetensorsFile::shape(const std::string& name) const {
    return entry(name).shape;
}

const std::string& SafetensorsFile::dtype(const std::string& name) const {
    return entry(name).dtype;
}

std::span<const std::byte> SafetensorsFile::bytes(const std::string& name) const {
    const Entry& e = entry(name);
    return std::as_bytes(std::span(data_)).subspan(e.begin, e.end - e.begin);
}

std::span<const std::byte> SafetensorsFile::typed_bytes(const std::string& name, const char* dtype,
                                                        std::size_t alignment) const {
    const Entry& e = entry(name);
    if (e.dtype != dtype)
        throw IoError(
            fmt::format("{}: tensor {} is {}, not {}", path_.string(), name, e.dtype, dtype));
    if (e.begin % alignment != 0)
        throw IoError(fmt::format("{}: tensor {} is not aligned", path_.string(), name));
    return bytes(name);
}

}  // namespace plumb
