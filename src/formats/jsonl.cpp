#include "formats/jsonl.h"

#include "core/json.h"

#include <string>
#include <string_view>

namespace plumb {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Opens for appending after cutting what follows the last line's end.
OutputFile open_after_last_line(const fs::path& path) {
    std::error_code error;
    if (fs::is_regular_file(path, error)) {
        const std::string text = read_file(path);
        const std::size_t whole = text.rfind('\n') + 1;  // npos + 1 = 0
        if (whole != text.size()) fs::resize_file(path, whole, error);
    }
    if (error && error != std::errc::no_such_file_or_directory)
        throw_io_error("open", path, error.value());
    return OutputFile(path, OutputFile::Mode::append);
}

// Calls visit(line text with its end, parsed object) for every whole line.
template <class Visit>
void for_each_line(const fs::path& path, const std::string& text, Visit&& visit) {
    std::size_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        if (end == std::string::npos) return;
        const std::string_view line = std::string_view(text).substr(at, end + 1 - at);
        const std::string name = fmt::format("{}:{}", path.string(), ++number);
        const json value = parse_json<json>(line, name);
        if (!value.is_object()) throw IoError(name + ": not a JSON object");
        visit(line, value);
        at = end + 1;
    }
}

}  // namespace

JsonlFile::JsonlFile(const fs::path& path) : file_(open_after_last_line(path)) {}

void JsonlFile::write(const nlohmann::ordered_json& line) { file_.write(line.dump() + "\n"); }

std::vector<json> read_jsonl(const fs::path& path) {
    std::vector<json> out;
    for_each_line(path, read_file(path),
                  [&out](std::string_view, const json& value) { out.push_back(value); });
    return out;
}

void drop_lines_after(const fs::path& path, Index step) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return;
    const std::string text = read_file(path);
    std::string kept;
    for_each_line(path, text, [&](std::string_view line, const json& value) {
        const auto at = value.find("step");
        if (at == value.end() || !json_is<Index>(*at) || at->get<Index>() <= step) kept += line;
    });
    if (kept != text) write_file(path, kept);
}

}  // namespace plumb
