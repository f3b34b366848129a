// mixer.gain_init: where the gains of rezero and layerscale start.
#pragma once

#include "core/text.h"
#include "mixers/mixer_config.h"

#include <string>

namespace plumb {

inline MixerOption gain_init_option() {
    return {"gain_init", "paper",
            "where the gains of sublayer outputs start: as in the mixer's paper or a number",
            Field(Choices{"paper"}).or_number()};
}

// The number that `text` is, or `paper` for "paper".
inline double gain_start(const std::string& text, double paper) {
    return number_in(text).value_or(paper);
}

}  // namespace plumb
