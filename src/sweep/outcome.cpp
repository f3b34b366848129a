#include "sweep/outcome.h"

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "sweep/run_look.h"

#include <cmath>

namespace plumb {

std::optional<EndedRun> ended_run(const std::filesystem::path& run, const std::string& metric) {
    std::error_code ignored;
    if (std::filesystem::exists(run / kCulledName, ignored)) return EndedRun{};
    std::string status;
    try {
        status = read_file(run / "STATUS");
    } catch (const IoError&) {
        return std::nullopt;
    }
    status = status.substr(0, status.find_first_of(" \n"));
    if (status == "diverged") return EndedRun{};
    if (status != "done") return std::nullopt;
    EndedRun end{true, {}};
    const auto path = run / "summary.json";
    const auto summary = read_json_object(path);
    const double value = json_or<double>(summary, metric.c_str(), std::nan(""), path.string());
    if (std::isfinite(value)) end.metric = value;
    return end;
}

}  // namespace plumb
