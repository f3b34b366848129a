#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace plumb {

std::int32_t sample(const float* logits, Index v, const Sampling& how, double u,
                    std::vector<double>& weights) {
    const float* largest = std::max_element(logits, logits + v);
    if (how.temperature <= 0) return static_cast<std::int32_t>(largest - logits);
    weights.assign(logits, logits + v);
    double least = -std::numeric_limits<double>::infinity();
    if (how.top_k > 0 && how.top_k < v) {
        std::nth_element(weights.begin(), weights.begin() + how.top_k - 1, weights.end(),
                         std::greater<>());
        least = weights[static_cast<std::size_t>(how.top_k - 1)];
        weights.assign(logits, logits + v);
    }
    double total = 0;
    for (double& w : weights) {
        w = w < least ? 0 : std::exp((w - static_cast<double>(*largest)) / how.temperature);
        total += w;
    }
    double left = u * total;
    Index last = largest - logits;
    for (Index i = 0; i < v; ++i) {
        const double w = weights[static_cast<std::size_t>(i)];
        if (w <= 0) continue;
        last = i;
        left -= w;
        if (left <= 0) break;
    }
    return static_cast<std::int32_t>(last);
}

}  // namespace plumb
