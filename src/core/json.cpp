#include "core/json.h"

#include "core/files.h"

namespace plumb {

void check_json_depth(std::string_view text, const std::string& name) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > kMaxJsonDepth)
                throw IoError(
                    fmt::format("{}: not usable JSON: nested deeper than {} levels at byte {}",
                                name, kMaxJsonDepth, i));
        } else if (c == ']' || c == '}') {
            --depth;
        }
    }
}

std::string json_excerpt(std::string text) {
    constexpr std::size_t kLongest = 40;
    if (text.size() > kLongest) {
        std::size_t end = kLongest;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
        text = text.substr(0, end) + "...";
    }
    return text;
}

template <class Json>
Json parse_json(std::string_view text, const std::string& name) {
    check_json_depth(text, name);
    try {
        return Json::parse(text);
    } catch (const nlohmann::json::exception& e) {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        const std::string_view what = e.what();
        const std::size_t tag = what.starts_with('[') ? what.find("] ") : std::string_view::npos;
        throw IoError(fmt::format("{}: not valid JSON: {}", name,
                                  tag == std::string_view::npos ? what : what.substr(tag + 2)));
    }
}

template <class Json>
Json read_json_object(const std::filesystem::path& path) {
    auto value = parse_json<Json>(read_file(path), path.string());
    if (!value.is_object()) throw IoError(fmt::format("{}: not a JSON object", path.string()));
    return value;
}

template nlohmann::json parse_json(std::string_view, const std::string&);
template nlohmann::ordered_json parse_json(std::string_view, const std::string&);
template nlohmann::json read_json_object(const std::filesystem::path&);
template nlohmann::ordered_json read_json_object(const std::filesystem::path&);

}  // namespace plumb
