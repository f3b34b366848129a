// How large a difference a number of seeds can find, and how many seeds a difference needs:
// two-sided paired t tests, by the noncentral t distribution (Boost.Math).
#pragma once

namespace plumb {

struct PowerQuestion {
    int comparisons = 1;  // in one table; Holm's first step tests at alpha / comparisons
    int looks = 1;        // planned looks share alpha (Bonferroni)
    double alpha = 0.05, power = 0.8;
};

// The smallest |mean difference| / sd of a paired difference found with this power; infinite for
// fewer than two seeds.
double smallest_effect(int seeds, const PowerQuestion& question);

// Seeds that find |mean difference| / sd = `effect` (> 0); at most `most`, which means "more".
int seeds_needed(double effect, const PowerQuestion& question, int most = 10'000);

}  // namespace plumb
