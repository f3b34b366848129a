// How long a token of generated text takes.
#pragma once

#include "model/model.h"

#include <vector>

namespace plumb {

struct DecodeTiming {
    double prefill_seconds;            // of context - steps tokens of each sequence
    std::vector<double> step_seconds;  // of one token of each sequence, at positions up to context
};

// Times a decoder of random initial weights on random tokens: the last `steps` positions before
// `context`. To compare two models, call it for one and the other in turn and take medians. Throws
// UsageError unless 0 < steps <= context <= model.context.
DecodeTiming time_decode(const TransformerShape& shape, Index context, Index steps);

}  // namespace plumb
