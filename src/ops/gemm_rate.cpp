#include "ops/gemm_rate.h"

#include "ops/matmul.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace plumb {

double measure_gemm_rate(const Context& ctx, Index m, Index n, Index k, double seconds) {
    using Clock = std::chrono::steady_clock;
    const auto filled = [](Index count) {
        std::vector<float> x(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) - 6.0f;
        return x;
    };
    const std::vector<float> a = filled(m * k), b = filled(n * k);
    std::vector<float> c(static_cast<std::size_t>(m * n));
    double best = 0;
    const auto start = Clock::now();
    for (int repeat = 0;; ++repeat) {
        const auto before = Clock::now();
        gemm(ctx, Op::none, Op::transpose, m, n, k, 1.0f, a.data(), k, b.data(), k, 0.0f, c.data(),
             n);
        const auto after = Clock::now();
        const double time = std::chrono::duration<double>(after - before).count();
        if (repeat > 0) best = std::max(best, 2.0 * static_cast<double>(m * n * k) / time);
        if (repeat > 1 && std::chrono::duration<double>(after - start).count() > seconds)
            return best;
    }
}

}  // namespace plumb
