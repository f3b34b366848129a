// M of mixes over depth, on whichever device its numbers were made.
#pragma once

#include "mixers/derive_matrix.h"
#include "mixers/memories/depth_schedule.h"

namespace plumb {

// m (L+1, L+1, G), zero before, of a token: weight(l, i, group) is that of source i, which l sees.
template <class Real, class Weight>
void source_matrix(const Rule& rule, const DepthSchedule& schedule, View<Real> m, Weight&& weight) {
    const auto size = [](int n) { return static_cast<std::size_t>(n); };
    derive_matrix<Real>(
        rule,
        [&](int l, std::vector<double>& c, std::vector<double>& a) {
            const int rows = rule.rows(l);
            c.assign(size(rows * rule.groups()), 0.0);
            for (int group = 0; group < rule.groups(); ++group)
                for (int r = 0; r < rows; ++r) {
                    const int i = std::min(r * schedule.block_size(), l - 1);
                    if (schedule.sees(l, i))
                        c[size(group * rows + r)] = static_cast<double>(weight(l, i, group));
                }
            if (l > rule.sublayers()) return;
            a.assign(size(rule.rows(l + 1) * (rows + 1) * rule.groups()), 0.0);
            rule.write(l, nullptr, nullptr, nullptr, a.data());
        },
        m);
}

}  // namespace plumb
