// The kind of a mixer's parameter: what its name says after the place. mixer.freeze names kinds.
#pragma once

#include <string>
#include <string_view>

namespace plumb {

inline constexpr std::string_view kMixerPart = ".mixer.";

// "query" of "layer.3.mlp.mixer.query", "gate.bias" of "layer.0.attn.mixer.gate.bias".
inline std::string parameter_kind(const std::string& name) {
    const auto at = name.find(kMixerPart);
    return at == name.npos ? name : name.substr(at + kMixerPart.size());
}

}  // namespace plumb
