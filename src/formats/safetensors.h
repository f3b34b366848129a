// safetensors, the tensor file of the Hugging Face ecosystem: 8 bytes little-endian header length,
// a JSON header, then the raw tensors. Python: safetensors.numpy.load_file(path).
// The reader is strict: it accepts exactly the files that name every byte once.
#pragma once

#include "core/device_memory.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// Bytes per number of F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL; 0 for anything else.
std::size_t dtype_bytes(std::string_view dtype);

template <class T>
constexpr const char* dtype_name();
template <>
constexpr const char* dtype_name<float>() {
    return "F32";
}
template <>
constexpr const char* dtype_name<double>() {
    return "F64";
}
template <>
constexpr const char* dtype_name<std::int64_t>() {
    return "I64";
}
template <>
constexpr const char* dtype_name<std::int32_t>() {
    return "I32";
}

// A tensor to write: row-major numbers that stay the caller's.
struct TensorRef {
    std::string name;
    std::string dtype;
    std::vector<Index> shape;
    const void* data;
    std::shared_ptr<const void> copy{};  // where the numbers came from a device

    // A dense view.
    template <class T>
    static TensorRef of(std::string name, const View<T>& view) {
        std::vector<Index> shape;
        for (int i = 0; i < view.shape.rank(); ++i) shape.push_back(view.extent(i));
        using X = std::remove_const_t<T>;
        TensorRef ref{std::move(name), dtype_name<X>(), std::move(shape), view.data};
        if (view.device == Device::cpu) return ref;
        const auto copy = std::make_shared<const std::vector<X>>(fetch<X>(view));
        ref.data = copy->data(), ref.copy = copy;
        return ref;
    }
};

using SafetensorsMetadata = std::map<std::string, std::string>;

// Writes atomically (core/files.h), without copying the tensors, widest type first so that every
// tensor is aligned. Returns the SHA-256 of the file. Throws IoError if the disk refuses,
// InternalError for a name given twice or a type that does not exist.
std::string write_safetensors(const std::filesystem::path& path, std::span<const TensorRef> tensors,
                              const SafetensorsMetadata& metadata = {});

class SafetensorsFile {
public:
    // Reads the whole file. Throws IoError naming the file and what is wrong with it: missing,
    // truncated, not safetensors, holes or overlaps, duplicate names.
    static SafetensorsFile open(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return path_; }
    std::vector<std::string> names() const;  // sorted
    bool contains(const std::string& name) const { return entries_.count(name) > 0; }
    // These throw IoError naming the file and its tensors if there is no such tensor.
    const std::vector<Index>& shape(const std::string& name) const;
    const std::string& dtype(const std::string& name) const;
    std::span<const std::byte> bytes(const std::string& name) const;
    const SafetensorsMetadata& metadata() const { return metadata_; }
    // Row-major numbers; throws IoError if the file holds another type.
    template <class T>
    std::span<const T> values(const std::string& name) const {
        const auto raw = typed_bytes(name, dtype_name<T>(), alignof(T));
        return {reinterpret_cast<const T*>(raw.data()), raw.size() / sizeof(T)};
    }

private:
    struct Entry {
        std::string dtype;
        std::vector<Index> shape;
        std::size_t begin, end;
    };
    const Entry& entry(const std::string& name) const;
    std::span<const std::byte> typed_bytes(const std::string& name, const char* dtype,
                                           std::size_t alignment) const;
    void read_header(std::string_view header);
    void read_entry(const std::string& name, const nlohmann::json& value);
    void check_layout() const;
    [[noreturn]] void refuse(const std::string& reason) const;

    std::filesystem::path path_;
    std::map<std::string, Entry> entries_;
    SafetensorsMetadata metadata_;
    std::string data_;  // the bytes after the header; a buffer of its own, so aligned
};

// "(3, 4)"
std::string shape_text(std::span<const Index> shape);

}  // namespace plumb
