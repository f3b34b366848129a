// Student's t distribution, for intervals of means over a few seeds.
#pragma once

#include <vector>

namespace plumb {

// P(T <= t) with df >= 1 degrees of freedom, and the t at which it is p in (0, 1), to 1e-12.
double t_cdf(double t, double df);
double t_quantile(double p, double df);

// Mean and half the width of its 95 % interval, t(n-1) sd / sqrt(n); half_width is NaN for n < 2.
struct MeanInterval {
    double mean = 0, half_width = 0;
};
MeanInterval mean_interval(const std::vector<double>& values);

}  // namespace plumb
