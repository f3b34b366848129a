// mixer.gain_init: where the gains of rezero and layerscale start.
#pragma once

#include "core/check.h"
#include "mixers/mixer_config.h"

#include <charconv>
#include <cmath>
#include <string>

namespace plumb {

inline MixerOption gain_init_option() {
    return {"gain_init", "paper",
            "where the gains of sublayer outputs start: as in the mixer's paper or a number",
            Field{}.or_number()};
}

// The number that `text` is, or `paper` for "paper". Throws UsageError.
inline double gain_start(const std::string& text, double paper) {
    if (text == "paper") return paper;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
        throw UsageError(
            fmt::format("mixer.gain_init={}: use 'paper' or a number such as 0.1", text));
    return number;
}

}  // namespace plumb
