#include "mixers/plain_plan.h"

namespace plumb {
namespace {

// The mix of a group of `rows` with the entries from `first` on; weights are added to `all`.
PlainPlan::Mix mix_of(int group, const std::vector<PlainPlan::Cell>& rows,
                      const std::vector<Traced>& entries, std::size_t first,
                      std::vector<Traced>& all) {
    PlainPlan::Mix mix{group, -1, {}};
    for (std::size_t r = 0; r < rows.size(); ++r) {
        if (entries[first + r].is(0)) continue;
        mix.terms.push_back({rows[r], static_cast<int>(first + r), static_cast<int>(all.size())});
        all.push_back(entries[first + r]);
    }
    return mix;
}

}  // namespace

PlainPlan::PlainPlan(const Rule& rule)
    : sublayers_(rule.sublayers()), n_cells_(rule.sublayers() + 1) {
    sites_.resize(static_cast<std::size_t>(sublayers_ + 1));
    sites_.front().rows.assign(static_cast<std::size_t>(rule.rows(1)), 0);
    for (int l = 1; l <= sublayers_ + 1; ++l) {
        Site& s = at(l);
        const int rows = rule.rows(l);
        require(std::ssize(s.rows) == rows, "a rule's rows(l) is what its write makes");
        const auto n_p = static_cast<int>(count(rule.params(l), RuleParam::Is::numbers));
        s.read_dots = rule.read_dots(l);
        s.n_c = rule.ways(l) * rule.groups() * rows;
        const auto n_u = static_cast<int>(s.read_dots.size());
        s.read = ScalarProgram(n_u, n_p, [&](const Traced* u, const Traced* p) {
            Numbers c(static_cast<std::size_t>(s.n_c));
            rule.read(l, u, p, c.data());
            return plan_reads(rule, l, c);
        });
        if (l > sublayers_) break;
        s.write_dots = rule.write_dots(l);
        s.rows.push_back(l);
        s.n_a = rule.groups() * rule.rows(l + 1) * (rows + 1);
        const auto n_w = static_cast<int>(s.write_dots.size());
        s.write = ScalarProgram(n_u + n_w, n_p, [&](const Traced* u, const Traced* p) {
            Numbers a(static_cast<std::size_t>(s.n_a));
            rule.write(l, u, u + n_u, p, a.data());
            return plan_writes(rule, l, a);
        });
    }
}

auto PlainPlan::plan_reads(const Rule& rule, int l, const Numbers& c) -> Numbers {
    Numbers weights;
    for (int m = 0; m < rule.ways(l) * rule.groups(); ++m)
        at(l).reads.push_back(mix_of(m % rule.groups(), at(l).rows, c,
                                     static_cast<std::size_t>(m) * at(l).rows.size(), weights));
    return weights;
}

auto PlainPlan::plan_writes(const Rule& rule, int l, const Numbers& a) -> Numbers {
    const std::vector<Cell>& rows = at(l).rows;
    std::vector<Cell>& next = at(l + 1).rows;
    Numbers weights;
    for (int o = 0, outs = rule.rows(l + 1); o < outs; ++o) {
        const std::size_t before = weights.size();
        std::vector<Mix> mixes;
        for (int g = 0; g < rule.groups(); ++g)
            mixes.push_back(
                mix_of(g, rows, a, static_cast<std::size_t>(g * outs + o) * rows.size(), weights));
        const bool kept = std::all_of(mixes.begin(), mixes.end(), [&](const Mix& mix) {
            return mix.terms.size() == 1 && !mixes.front().terms.empty() &&
                   mix.terms.front().cell == mixes.front().terms.front().cell &&
                   a[static_cast<std::size_t>(mix.terms.front().entry)].is(1);
        });
        next.push_back(kept ? mixes.front().terms.front().cell : n_cells_++);
        if (kept) {
            weights.resize(before);
            continue;
        }
        for (Mix& mix : mixes) mix.to = next.back();
        at(l).writes.insert(at(l).writes.end(), mixes.begin(), mixes.end());
    }
    return weights;
}

}  // namespace plumb
