#include "gpu/report.h"

#include "core/json.h"

#include <cmath>
#include <cstdio>
#include <fstream>

namespace plumb::test {

double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return NAN;
    double error = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return std::sqrt(error / (size > 0 ? size : 1));
}

void Report::add(const Check& c) {
    checks_.push_back(c);
    std::printf("%-4s %-58s error %.2e  bound %.0e\n", c.ok() ? "ok" : "FAIL", c.name.c_str(),
                c.error, c.bound);
    std::fflush(stdout);
}

void Report::add(const Timing& t) {
    timings_.push_back(t);
    const double rate = t.bytes / t.seconds;
    std::printf("%-58s %9.2f us", t.name.c_str(), t.seconds * 1e6);
    if (t.bytes > 0) {
        std::printf("  %8.1f MB  %5.2f TB/s", t.bytes * 1e-6, rate * 1e-12);
        if (copy_ > 0)
            std::printf("  floor %8.2f us  %5.1f %% of copy", t.bytes / copy_ * 1e6,
                        100 * rate / copy_);
    }
    const bool missed =
        (t.aim_seconds > 0 && t.seconds > t.aim_seconds) || (t.aim_rate > 0 && rate < t.aim_rate);
    std::printf("%s\n", t.aim_seconds + t.aim_rate == 0 ? "" : missed ? "  MISSED" : "  reached");
    std::fflush(stdout);
}

bool Report::ok() const {
    for (const Check& c : checks_)
        if (!c.ok()) return false;
    return true;
}

void Report::write_json(const std::string& path, const std::string& device) const {
    nlohmann::json j{{"device", device},
                     {"copy_bytes_per_second", copy_},
                     {"checks", nlohmann::json::array()},
                     {"timings", nlohmann::json::array()}};
    for (const Check& c : checks_)
        j["checks"].push_back(
            {{"name", c.name}, {"error", c.error}, {"bound", c.bound}, {"ok", c.ok()}});
    for (const Timing& t : timings_)
        j["timings"].push_back({{"name", t.name},
                                {"seconds", t.seconds},
                                {"bytes", t.bytes},
                                {"aim_seconds", t.aim_seconds},
                                {"aim_bytes_per_second", t.aim_rate}});
    std::ofstream(path) << j.dump(1) << '\n';
}

}  // namespace plumb::test
