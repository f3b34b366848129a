// JSON that comes from a file. Whatever is wrong with it is an IoError that names the file: damage,
// nesting deeper than Plumb ever writes (a library that recurses would end by a signal), a member
// that is missing or of another type.
#pragma once

#include "core/check.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

namespace plumb {

inline constexpr int kMaxJsonDepth = 64;  // objects and arrays within each other

// Parses `text`, the content of `name` (a path, or a path and a line); Json is nlohmann::json or
// nlohmann::ordered_json. Throws IoError.
template <class Json = nlohmann::ordered_json>
Json parse_json(std::string_view text, const std::string& name);

// The JSON object that is the whole file; IoError also if it is anything else.
template <class Json = nlohmann::ordered_json>
Json read_json_object(const std::filesystem::path& path);

// Throws IoError if objects and arrays are nested deeper than kMaxJsonDepth; for a parser of one's
// own. Looks at brackets outside strings only.
void check_json_depth(std::string_view text, const std::string& name);

// A value for a message, cut to one short line.
std::string json_excerpt(std::string text);

// Does the value fit T: double (any number), std::int64_t (a whole number), bool, std::string?
template <class T, class Json>
bool json_is(const Json& value) {
    if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
    if constexpr (std::is_same_v<T, std::string>) return value.is_string();
    if constexpr (std::is_same_v<T, double>) return value.is_number();
    if constexpr (std::is_same_v<T, std::int64_t>)
        return value.is_number_integer() &&
               (!value.is_number_unsigned() ||
                value.template get<std::uint64_t>() <=
                    std::uint64_t(std::numeric_limits<std::int64_t>::max()));
    return false;
}

template <class T>
constexpr const char* json_type_name() {
    static_assert(std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                  std::is_same_v<T, double> || std::is_same_v<T, std::int64_t>);
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    if constexpr (std::is_same_v<T, std::string>) return "a text";
    if constexpr (std::is_same_v<T, double>) return "a number";
    return "a whole number";
}

// Member `key` of an object that was read from `name`. Throws IoError if the value is no object,
// has no such member, or one of another type.
template <class T, class Json>
T json_at(const Json& object, const char* key, const std::string& name) {
    if (!object.is_object()) throw IoError(fmt::format("{}: not a JSON object", name));
    const auto at = object.find(key);
    if (at == object.end()) throw IoError(fmt::format("{}: \"{}\" is missing", name, key));
    if (!json_is<T>(*at))
        throw IoError(fmt::format("{}: \"{}\" is {}, not {}", name, key, json_excerpt(at->dump()),
                                  json_type_name<T>()));
    return at->template get<T>();
}

// The same, but `fallback` where there is no such member, or it is null (a number that was not
// finite when it was written).
template <class T, class Json>
T json_or(const Json& object, const char* key, T fallback, const std::string& name) {
    if (!object.is_object()) throw IoError(fmt::format("{}: not a JSON object", name));
    const auto at = object.find(key);
    return at == object.end() || at->is_null() ? fallback : json_at<T>(object, key, name);
}

}  // namespace plumb
