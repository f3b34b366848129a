// Power of paired t tests, against a table made by simulation and against Boost's own inverse.
#include "sweep/power.h"
#include "catch.h"

using namespace plumb;

TEST_CASE("the smallest difference that seeds can find", "[sweep]") {
    struct Known {
        int seeds, comparisons;
        double effect;
    };
    // Simulated with 20,000 repetitions of normal noise, to a digit.
    for (const Known& k : {Known{3, 1, 3.3},
                           {3, 6, 8.0},
                           {4, 3, 3.1},
                           {5, 1, 1.7},
                           {5, 6, 2.8},
                           {8, 6, 1.7},
                           {10, 6, 1.4},
                           {20, 1, 0.7}}) {
        INFO(k.seeds << " seeds, " << k.comparisons << " comparisons");
        CHECK(smallest_effect(k.seeds, {k.comparisons}) == Approx(k.effect).margin(0.06));
    }
    CHECK(std::isinf(smallest_effect(1, {})));
    CHECK(smallest_effect(5, {1, 2}) == Approx(smallest_effect(5, {2, 1})));
}

TEST_CASE("seeds needed are the fewest that find a difference", "[sweep]") {
    for (const double effect : {0.3, 0.5, 1.0, 2.0, 5.0}) {
        const int n = seeds_needed(effect, {3});
        CHECK(smallest_effect(n, {3}) <= effect);
        CHECK(smallest_effect(n - 1, {3}) > effect);
    }
    CHECK(seeds_needed(1e-6, {}, 500) == 500);
}
