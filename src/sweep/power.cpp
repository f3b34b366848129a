#include "sweep/power.h"

#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <cmath>
#include <limits>

namespace plumb {
namespace {

// P(|T| > critical) where T is noncentral with shift effect sqrt(n).
double power_of(int seeds, double effect, const PowerQuestion& q) {
    const double df = seeds - 1;
    const double alpha = q.alpha / q.comparisons / q.looks;
    const double critical =
        boost::math::quantile(complement(boost::math::students_t(df), alpha / 2));
    const boost::math::non_central_t t(df, effect * std::sqrt(seeds));
    return cdf(complement(t, critical)) + cdf(t, -critical);
}

}  // namespace

double smallest_effect(int seeds, const PowerQuestion& question) {
    if (seeds < 2) return std::numeric_limits<double>::infinity();
    double low = 0, high = 1;
    while (power_of(seeds, high, question) < question.power && high < 1e6) high *= 2;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (power_of(seeds, middle, question) < question.power ? low : high) = middle;
    }
    return high;
}

int seeds_needed(double effect, const PowerQuestion& question, int most) {
    int low = 1, high = 2;
    while (high < most && power_of(high, effect, question) < question.power) {
        low = high;
        high = high * 2 < most ? high * 2 : most;
    }
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        (power_of(middle, effect, question) < question.power ? low : high) = middle;
    }
    return high;
}

}  // namespace plumb
