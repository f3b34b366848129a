// The kind of a mixer's parameter: what its name says after the place. mixer.freeze names kinds.
#pragma once

#include <string>
#include <string_view>

namespace plumb {

// "query" of "layer.3.mlp.mixer.query", "gate.bias" of "layer.0.attn.mixer.gate.bias"; empty for a
// parameter that is not the mixer's.
inline std::string parameter_kind(const std::string& name) {
    constexpr std::string_view kMixer = ".mixer.";
    const auto at = name.find(kMixer);
    return at == name.npos ? "" : name.substr(at + kMixer.size());
}

}  // namespace plumb
