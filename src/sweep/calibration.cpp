#include "sweep/calibration.h"

#include "config/config_toml.h"
#include "core/check.h"
#include "core/text.h"

namespace plumb {
namespace {

std::string in_quotes(const std::string& s) { return nlohmann::json(s).dump(); }

}  // namespace

long Calibration::steps_of(const SweepCell& cell, const std::filesystem::path& file) const {
    for (const CalibratedCell& c : cells)
        if (c.variant == cell.variant && c.point == cell.point) return c.steps;
    std::string what = cell.variant;
    for (const auto& [key, text] : cell.point) what += fmt::format(" {}={}", key, text);
    throw UsageError(fmt::format(
        "match = \"time\" needs the speed of {}, which was not measured; type: plumb sweep "
        "calibrate {}",
        what, shell_quoted(file.string())));
}

Calibration read_calibration(const std::filesystem::path& path) {
    Calibration out;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return out;
    const toml::table root = parse_toml_file(path);
    const auto damaged = [&] {
        throw IoError(fmt::format("{}: not what `plumb sweep calibrate` writes; measure again",
                                  path.string()));
    };
    out.device = root["device"].value_or(std::string());
    out.date = root["date"].value_or(std::string());
    const toml::array* list = root["cell"].as_array();
    if (list == nullptr) damaged();
    for (const toml::node& node : *list) {
        const toml::table* t = node.as_table();
        if (t == nullptr) damaged();
        CalibratedCell cell;
        cell.variant = (*t)["variant"].value_or(std::string());
        cell.steps = (*t)["steps"].value_or(0L);
        cell.tokens_per_s = (*t)["tokens_per_s"].value_or(0.0);
        cell.relative = (*t)["step_time"].value_or(0.0);
        cell.low = (*t)["step_time_low"].value_or(0.0);
        cell.high = (*t)["step_time_high"].value_or(0.0);
        if (const toml::table* point = (*t)["point"].as_table())
            for (const auto& [key, value] : *point)
                cell.point[std::string(key.str())] = value.value_or(std::string());
        if (cell.variant.empty() || cell.steps < 1) damaged();
        out.cells.push_back(std::move(cell));
    }
    return out;
}

std::string to_toml(const Calibration& calibration) {
    std::string out = fmt::format(
        "# Steps that each cell makes in the time of its baseline (plumb sweep calibrate).\n"
        "device = {}\ndate = {}\n",
        in_quotes(calibration.device), in_quotes(calibration.date));
    for (const CalibratedCell& c : calibration.cells) {
        out += fmt::format(
            "\n[[cell]]\nvariant = {}\nsteps = {}\ntokens_per_s = {:.1f}\nstep_time = {:.6f}\n"
            "step_time_low = {:.6f}\nstep_time_high = {:.6f}\n[cell.point]\n",
            in_quotes(c.variant), c.steps, c.tokens_per_s, c.relative, c.low, c.high);
        for (const auto& [key, text] : c.point)
            out += fmt::format("{} = {}\n", in_quotes(key), in_quotes(text));
    }
    return out;
}

}  // namespace plumb
