// Student's t: roots of the regularized incomplete beta function, to 17 digits by mpmath.
#include "core/student_t.h"

#include "catch.h"

#include <cmath>
#include <utility>

using namespace plumb;

TEST_CASE("quantiles of Student's t have the digits of mpmath", "[statistics]") {
    for (const auto& [df, t] : {std::pair{1.0, 12.706204736174705},
                                {2.0, 4.3026527297494639},
                                {4.0, 2.7764451051977944},
                                {9.0, 2.2621571627982055},
                                {30.0, 2.0422724563012383},
                                {1000.0, 1.9623390808264085}}) {
        INFO(df);
        CHECK(std::abs(t_quantile(0.975, df) / t - 1) <= 1e-11);
        CHECK(std::abs(t_quantile(0.025, df) / t + 1) <= 1e-11);
    }
    CHECK(t_quantile(0.5, 3) == 0);
    CHECK(std::abs(t_quantile(0.75, 1) - 1) <= 1e-14);  // Cauchy
}

TEST_CASE("an interval of a mean is t(n-1) standard errors", "[statistics]") {
    const MeanInterval m = mean_interval({1, 2, 3, 6});
    CHECK(m.mean == 3);
    CHECK(std::abs(m.half_width - 3.437434881858908) <= 1e-12);
    CHECK(std::isnan(mean_interval({1}).half_width));
    CHECK(mean_interval({1}).mean == 1);
    CHECK(std::isnan(mean_interval({}).mean));
}
