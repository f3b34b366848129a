// Options that are a number or a word.
#pragma once

#include "core/check.h"
#include "mixers/mixer_config.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace plumb {

// The finite number that all of `text` is.
inline std::optional<double> number_in(const std::string& text) {
    double number = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error != std::errc() || end != last || !std::isfinite(number)) return {};
    return number;
}

// mixer.gain_init: where the gains of rezero and layerscale start.
inline MixerOption gain_init_option() {
    return {"gain_init", "paper",
            "where the gains of sublayer outputs start: as in the mixer's paper or a number",
            Field{}.or_number()};
}

// The number that `text` is, or `paper` for "paper". Throws UsageError.
inline double gain_start(const std::string& text, double paper) {
    if (text == "paper") return paper;
    if (const std::optional<double> number = number_in(text)) return *number;
    throw UsageError(fmt::format("mixer.gain_init={}: use 'paper' or a number such as 0.1", text));
}

}  // namespace plumb
