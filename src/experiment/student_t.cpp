#include "experiment/student_t.h"

#include "core/check.h"

#include <cmath>
#include <limits>

namespace plumb {
namespace {

// Continued fraction of the incomplete beta function by the modified Lentz method (Abramowitz &
// Stegun 26.5.8); converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
    constexpr double kTiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (std::abs(d) < kTiny ? kTiny : d);
    double fraction = d;
    for (int m = 1; m < 500; ++m) {
        for (const bool even : {true, false}) {
            const double term = even ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                     : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            d = 1 + term * d;
            c = 1 + term / c;
            d = 1 / (std::abs(d) < kTiny ? kTiny : d);
            if (std::abs(c) < kTiny) c = kTiny;
            fraction *= c * d;
        }
        if (std::abs(c * d - 1) < 1e-15) break;
    }
    return fraction;
}

// I_x(a, b)
double incomplete_beta(double a, double b, double x) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
    const double log_front =
        std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
    return std::exp(log_front) * beta_fraction(a, b, x) / a;
}

}  // namespace

double t_cdf(double t, double df) {
    require(df >= 1, "t_cdf: df >= 1");
    const double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
    return t > 0 ? 1 - tail : tail;
}

double t_quantile(double p, double df) {
    require(p > 0 && p < 1, "t_quantile: p in (0, 1)");
    if (p < 0.5) return -t_quantile(1 - p, df);
    double low = 0, high = 1;
    while (t_cdf(high, df) < p && high < 1e15) high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-13 * high; ++i) {
        const double middle = 0.5 * (low + high);
        (t_cdf(middle, df) < p ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

MeanInterval mean_interval(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    if (values.empty())
        return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
    double mean = 0, squares = 0;
    for (const double v : values) mean += v / n;
    for (const double v : values) squares += (v - mean) * (v - mean);
    if (values.size() < 2) return {mean, std::numeric_limits<double>::quiet_NaN()};
    return {mean, t_quantile(0.975, n - 1) * std::sqrt(squares / (n - 1) / n)};
}

}  // namespace plumb
