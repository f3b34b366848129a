// Loops over the mixer table and its test settings.
#pragma once

#include "catch.h"
#include "check/toy_stack.h"

namespace plumb::test {

// f(config, info) for every mixer with each of its test settings, named in failures.
template <class F>
void for_every_setting(F&& f) {
    for (const MixerInfo& info : mixers())
        for (const auto& settings : info.test_settings) {
            INFO(info.name << " " << fmt::format("{}", fmt::join(settings, " ")));
            f(mixer_config(info.name, settings), info);
        }
}

// Away from init, with N tokens. Empty if the setting needs more sublayers.
template <class Real>
std::unique_ptr<ToyStack<Real>> toy_stack(const MixerConfig& config,
                                          MixerShape shape = {5, 3, 6, 1e-6},
                                          std::uint64_t seed = 1) {
    try {
        auto stack = std::make_unique<ToyStack<Real>>(make_mixer<Real>(config, shape), seed);
        perturb(stack->params(), 0.3, seed + 1);
        return stack;
    } catch (const UsageError&) {
        return nullptr;
    }
}

}  // namespace plumb::test
