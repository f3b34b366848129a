// Loops over the table of sublayers and its test settings.
#pragma once

#include "catch.h"
#include "check/tiny_model.h"
#include "config/config.h"
#include "model/sublayers.h"

namespace plumb::test {

// The tiny model with overrides.
inline ModelConfig tiny_model_with(const std::vector<std::string>& overrides) {
    const ModelConfig tiny = tiny_config(1e-6);
    std::vector<std::string> all{fmt::format("model.layers={}", tiny.layers),
                                 fmt::format("model.width={}", tiny.width),
                                 fmt::format("model.heads={}", tiny.heads),
                                 fmt::format("model.mlp_hidden={}", tiny.mlp_hidden),
                                 fmt::format("model.context={}", tiny.context),
                                 fmt::format("model.init_std={}", tiny.init_std),
                                 fmt::format("model.norm_eps={}", tiny.norm_eps)};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return load_config("", all).config.model;
}

// f(model, info) for the tiny model with every sublayer's test settings, named in failures.
template <class F>
void for_every_sublayer_setting(F&& f) {
    for (const SublayerInfo& info : sublayers())
        for (const auto& settings : info.test_settings) {
            INFO(info.name << " " << fmt::format("{}", fmt::join(settings, " ")));
            f(tiny_model_with(settings), info);
        }
}

}  // namespace plumb::test
