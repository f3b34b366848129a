// Which of the memories of streams carries a rule.
#pragma once

#include "mixers/memories/streams.h"
#include "mixers/memories/streams_on_gpu.h"
#include "mixers/mixers.h"

namespace plumb {

// Of rules R(config, shape): in Streams on the CPU, on a GPU in StreamsOnGpu or the plain memory.
template <class R>
MixerMakers mixer_on_streams() {
    const auto in = [](auto type, auto rule) -> MixerPtr<decltype(type)> {
        using T = decltype(type);
        if (rule->shape().device == Device::cpu)
            return std::make_unique<Streams<T>>(std::move(rule));
        if (StreamsOnGpu<T>::carries(*rule))
            return std::make_unique<StreamsOnGpu<T>>(std::move(rule));
        return plain_mixer<T>(std::move(rule));
    };
    return mixer_of<R>(in, [](const Rule&) { return true; });
}

}  // namespace plumb
