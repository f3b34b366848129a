// JSON lines: one object a line, appended, never rewritten (metrics.jsonl, depth.jsonl).
#pragma once

#include "core/files.h"
#include "core/view.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <vector>

namespace plumb {

// Appends to a file. A last line without its end, from a run that was killed while writing, is cut
// off when the file is opened. Everything throws IoError if the disk refuses.
class JsonlFile {
public:
    explicit JsonlFile(const std::filesystem::path& path);

    // Hands one line to the system in one piece. NaN and infinities become null.
    void write(const nlohmann::ordered_json& line);
    // Returns when all lines are on the disk.
    void flush() { file_.sync(); }

private:
    OutputFile file_;
};

// All lines. Skips an unfinished last one; throws IoError naming the line of any other that is not
// an object, and if the file is missing.
std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path);

// Keeps the lines up to and including `step` (key "step"), bytes unchanged; for a run that resumes
// from a checkpoint and will write the later ones again. No file, nothing to do.
void drop_lines_after(const std::filesystem::path& path, Index step);

}  // namespace plumb
