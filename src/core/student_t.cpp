#include "core/student_t.h"

#include "core/check.h"

#include <boost/math/distributions/students_t.hpp>

#include <cmath>
#include <limits>

namespace plumb {

double t_quantile(double p, double df) {
    require(p > 0 && p < 1 && df >= 1, "t_quantile: p in (0, 1), df >= 1");
    return boost::math::quantile(boost::math::students_t(df), p);
}

MeanInterval mean_interval(const std::vector<double>& values) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    if (values.empty()) return {kNone, kNone};
    const auto n = static_cast<double>(values.size());
    double mean = 0, squares = 0;
    for (const double v : values) mean += v / n;
    for (const double v : values) squares += (v - mean) * (v - mean);
    if (values.size() < 2) return {mean, kNone};
    return {mean, t_quantile(0.975, n - 1) * std::sqrt(squares / (n - 1) / n)};
}

}  // namespace plumb
