// Sampler: which token follows, drawn from logits.
#pragma once

#include "core/view.h"

#include <vector>

namespace plumb {

struct Sampling {
    double temperature = 0.8;  // >= 0; 0: always the likeliest token
    long top_k = 0;            // among the top_k likeliest alone; 0: among all
};

// The token at u, uniform in [0, 1), of softmax(logits / temperature) over the top_k largest (those
// equal to the last of them too). logits: V numbers, finite; weights: scratch.
std::int32_t sample(const float* logits, Index v, const Sampling& how, double u,
                    std::vector<double>& weights);

}  // namespace plumb
