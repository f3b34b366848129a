#include "bench/bandwidth.h"

#include "core/clock.h"

#include <algorithm>
#include <cmath>

namespace plumb {

double measure_bandwidth(const Context& ctx, double bytes) {
    const Index n = std::max<Index>(1, static_cast<Index>(bytes / 2 / sizeof(float)));
    std::vector<float> a(static_cast<std::size_t>(n), 1.0f), b(a);
    float *pa = a.data(), *pb = b.data();
    constexpr int kPasses = 40;
    constexpr double kSmall = 4e6;  // below this a pass is too short to time alone
    const int inner = std::max(1, static_cast<int>(kSmall / bytes));
    double best = 0;
    for (int pass = 0; pass < kPasses; ++pass) {
        const auto before = Clock::now();
#pragma omp parallel num_threads(ctx.threads)
        for (int k = 0; k < inner; ++k) {
#pragma omp for simd schedule(static) nowait
            for (Index i = 0; i < n; ++i) pa[i] = pb[i] + 0.5f * pa[i];
        }
        const double moved =
            static_cast<double>(inner) * static_cast<double>(3 * n) * sizeof(float);
        best = std::max(best, moved / seconds_since(before));
    }
    return best;
}

std::vector<Bandwidth> measure_bandwidths(const Context& ctx) {
    std::vector<Bandwidth> out;
    for (const double kib : {32, 512, 2048, 8192, 32768, 131072})
        out.push_back({1024 * kib, measure_bandwidth(ctx, 1024 * kib)});
    return out;
}

double rate_for(const std::vector<Bandwidth>& measured, double bytes) {
    const auto above = std::find_if(measured.begin(), measured.end(),
                                    [&](const Bandwidth& b) { return b.bytes >= bytes; });
    if (above == measured.end()) return measured.back().rate;
    if (above == measured.begin()) return above->rate;
    const auto below = above - 1;
    const double at = std::log(bytes / below->bytes) / std::log(above->bytes / below->bytes);
    return below->rate + at * (above->rate - below->rate);
}

}  // namespace plumb
