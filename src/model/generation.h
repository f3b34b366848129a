// The decoding loop: a Decoder reads a prompt, a Sampler draws each token that follows.
#pragma once

#include "model/decoder.h"
#include "model/sampler.h"

#include <functional>
#include <span>

namespace plumb {

struct GenerationOptions {
    long tokens = 200;  // to add
    long seed = 1;      // of the sampling
    Sampling sampling;
};

struct GenerationTimes {
    double prompt_seconds = 0;  // of all of the prompt but its last token
    double token_seconds = 0;   // of what follows, all sequences together
};

// Forgets what the decoder holds and continues `prompt` (not empty) in each of its sequences;
// show(sequence, token) is called for every new token. Sequence b draws from the stream
// "generate/b" of the seed: its tokens are the same however many there are.
GenerationTimes continue_text(const Context& ctx, Decoder<float>& decoder,
                              std::span<const std::int32_t> prompt,
                              const GenerationOptions& options,
                              const std::function<void(Index, std::int32_t)>& show);

}  // namespace plumb
