#include "sweep/shared_gemm_rate.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>

namespace plumb {
namespace {

std::string shape_of(const Config& c) {
    return fmt::format("{} {} {}", c.train.batch * c.model.context, c.model.width,
                       c.train.precision);
}

}  // namespace

std::string SharedGemmRate::of(const Config& config) const {
    const auto at = known_.find(shape_of(config));
    return at == known_.end() ? "" : at->second;
}

void SharedGemmRate::learn(const Config& config, const std::filesystem::path& log,
                           std::uintmax_t from) {
    constexpr std::size_t kSettings = 8192;
    constexpr std::string_view kRow = "\nGEMM rate ", kUnit = " GFLOP/s";
    if (known_.contains(shape_of(config))) return;
    std::string text(kSettings, '\0');
    std::ifstream file(log, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(from));
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
    const std::size_t row = text.find(kRow), unit = text.find(kUnit, row);
    if (row == std::string::npos || unit == std::string::npos) return;
    const std::size_t number = text.rfind(' ', unit - 1) + 1;
    double rate = 0;
    if (std::from_chars(text.data() + number, text.data() + unit, rate).ec == std::errc{} &&
        rate > 0)
        known_[shape_of(config)] = fmt::format("{:.0f}", rate * 1e9);
}

}  // namespace plumb
