// The depth-mixing matrix M of any rule, from the scalars of a token.
#pragma once

#include "mixers/rule.h"

namespace plumb {

// Walks unit rows in place of v: of(l, c, A) fills the token's scalars of site l, A where l <= L.
// m (L+1, L+1, G), zero before: of one way where sites have several.
template <class Real, class Scalars>
void derive_matrix(const Rule& rule, const Scalars& of, View<Real> m, int way = 0) {
    using Numbers = std::vector<double>;
    const auto columns = static_cast<std::size_t>(rule.sublayers() + 1),
               groups = static_cast<std::size_t>(rule.groups());
    std::vector<std::vector<Numbers>> x(groups);  // rows as sums over the v_i, one set a group
    Numbers unit(columns, 0.0), c, a;
    unit[0] = 1;
    for (auto& rows : x) rows.assign(static_cast<std::size_t>(rule.rows(1)), unit);
    const auto mix = [&](const double* weights, const std::vector<Numbers>& rows) {
        Numbers out(columns, 0.0);
        for (std::size_t r = 0; r < rows.size(); ++r)
            for (std::size_t i = 0; i < columns; ++i) out[i] += weights[r] * rows[r][i];
        return out;
    };
    for (int l = 1; l <= rule.sublayers() + 1; ++l) {
        of(l, c, a);
        const std::size_t first = rule.ways(l) > 1 ? static_cast<std::size_t>(way) * groups : 0;
        for (std::size_t g = 0; g < groups; ++g) {
            std::vector<Numbers>& rows = x[g];
            const Numbers h = mix(c.data() + (first + g) * rows.size(), rows);
            for (std::size_t i = 0; i < columns; ++i)
                m.data[((static_cast<std::size_t>(l) - 1) * columns + i) * groups + g] =
                    static_cast<Real>(h[i]);
            if (l > rule.sublayers()) continue;
            const auto outs = static_cast<std::size_t>(rule.rows(l + 1));
            rows.push_back(Numbers(columns, 0.0));
            rows.back()[static_cast<std::size_t>(l)] = 1;
            std::vector<Numbers> next;
            for (std::size_t o = 0; o < outs; ++o)
                next.push_back(mix(a.data() + (g * outs + o) * rows.size(), rows));
            rows = std::move(next);
        }
    }
}

}  // namespace plumb
