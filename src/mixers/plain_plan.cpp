#include "mixers/plain_plan.h"

namespace plumb {
namespace {

// Inputs like any others: what the tape says of them holds for all.
std::vector<Var> some_inputs(Tape& tape, std::size_t n) {
    std::vector<Var> all;
    for (std::size_t i = 0; i < n; ++i)
        all.push_back(tape.input(0.5 + 0.01 * static_cast<double>(i % 7)));
    return all;
}

bool is_constant(const Var& x, double value) { return x.node < 0 && x.v == value; }

}  // namespace

PlainPlan::PlainPlan(const Rule& rule)
    : sublayers_(rule.sublayers()), n_cells_(rule.sublayers() + 1) {
    sites_.resize(static_cast<std::size_t>(sublayers_ + 1));
    sites_.front().rows.assign(static_cast<std::size_t>(rule.rows(1)), 0);
    for (int l = 1; l <= sublayers_ + 1; ++l) {
        Site& site = sites_[static_cast<std::size_t>(l - 1)];
        site.params = rule.params(l);
        for (const RuleParam& p : site.params)
            if (p.is == RuleParam::Is::numbers) site.n_numbers += static_cast<int>(p.shape.count());
        site.read_dots = rule.read_dots(l);
        plan_reads(rule, l);
        if (l > sublayers_) break;
        site.write_dots = rule.write_dots(l);
        site.rows.push_back(l);
        plan_writes(rule, l);
    }
}

void PlainPlan::plan_reads(const Rule& rule, int l) {
    Site& site = sites_[static_cast<std::size_t>(l - 1)];
    const int rows = rule.rows(l), mixes = rule.ways(l) * rule.groups();
    require(std::ssize(site.rows) == rows, "a rule's rows(l) is what its write makes");
    site.n_c = mixes * rows;
    Tape tape;
    const std::vector<Var> u = some_inputs(tape, site.read_dots.size()),
                           p = some_inputs(tape, static_cast<std::size_t>(site.n_numbers));
    std::vector<Var> c(static_cast<std::size_t>(site.n_c));
    rule.read(l, u.data(), p.data(), c.data());
    for (int m = 0; m < mixes; ++m) {
        site.reads.push_back({m % rule.groups(), -1, {}});
        for (int r = 0; r < rows; ++r)
            if (!is_constant(c[static_cast<std::size_t>(m * rows + r)], 0))
                site.reads.back().terms.push_back(
                    {site.rows[static_cast<std::size_t>(r)], m * rows + r});
    }
}

void PlainPlan::plan_writes(const Rule& rule, int l) {
    Site &site = sites_[static_cast<std::size_t>(l - 1)],
         &next = sites_[static_cast<std::size_t>(l)];
    const int ins = rule.rows(l) + 1, outs = rule.rows(l + 1), groups = rule.groups();
    site.n_a = groups * outs * ins;
    Tape tape;
    const std::vector<Var> u = some_inputs(tape, site.read_dots.size()),
                           w = some_inputs(tape, site.write_dots.size()),
                           p = some_inputs(tape, static_cast<std::size_t>(site.n_numbers));
    std::vector<Var> a(static_cast<std::size_t>(site.n_a));
    rule.write(l, u.data(), w.data(), p.data(), a.data());
    for (int o = 0; o < outs; ++o) {
        std::vector<Mix> mixes;
        bool kept = true;
        for (int g = 0; g < groups; ++g) {
            mixes.push_back({g, n_cells_, {}});
            for (int i = 0; i < ins; ++i) {
                const int at = (g * outs + o) * ins + i;
                if (is_constant(a[static_cast<std::size_t>(at)], 0)) continue;
                mixes.back().terms.push_back({site.rows[static_cast<std::size_t>(i)], at});
            }
            kept = kept && mixes.back().terms.size() == 1 &&
                   mixes.back().terms.front().cell == mixes.front().terms.front().cell &&
                   is_constant(a[static_cast<std::size_t>(mixes.back().terms.front().at)], 1);
        }
        if (kept) {
            next.rows.push_back(mixes.front().terms.front().cell);
            continue;
        }
        next.rows.push_back(n_cells_++);
        site.writes.insert(site.writes.end(), mixes.begin(), mixes.end());
    }
}

}  // namespace plumb
