// Student's t distribution, for intervals of means over a few seeds.
#pragma once

#include <vector>

namespace plumb {

// The t that is not exceeded with probability p, 0 < p < 1; df >= 1 degrees of freedom; to 1e-12.
double t_quantile(double p, double df);

// Mean and half the width of its 95 % interval, t(n-1) sd / sqrt(n); half_width is NaN for n < 2.
struct MeanInterval {
    double mean = 0, half_width = 0;
};
MeanInterval mean_interval(const std::vector<double>& values);

}  // namespace plumb
