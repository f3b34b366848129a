#include "mixers/memories/running_row.h"

namespace plumb {
namespace {

constexpr const char* kUnfit = "a running row carries one row, read as it is, changed by its dots";

std::vector<Var> inputs(Tape& tape, Index n) {
    std::vector<Var> all;
    for (Index i = 0; i < n; ++i) all.push_back(tape.input(0.5));
    return all;
}

bool all_one(const std::vector<Var>& all) {
    return std::all_of(all.begin(), all.end(), [](const Var& x) { return x.node < 0 && x.v == 1; });
}

// Row 0 is h, row 1 is v.
RowUses::Dot kind_of(const Dot& dot, bool write) {
    const Operand &a = dot.a, &b = dot.b;
    require(a.is == Operand::Is::row && a.gain < 0 && b.gain < 0, kUnfit);
    if (!write && b.is == Operand::Is::vector) return RowUses::Dot::hq;
    require(b.is == Operand::Is::row, kUnfit);
    return a.index + b.index == 0   ? RowUses::Dot::hh
           : a.index + b.index == 1 ? RowUses::Dot::hv
                                    : RowUses::Dot::vv;
}

}  // namespace

RowUses::RowUses(const Rule& rule) : groups(rule.groups()), unit(true) {
    for (int l = 1; l <= rule.sublayers() + 1; ++l) {
        require(rule.rows(l) == 1 && rule.ways(l) == 1 && rule.stream_rows() == 1, kUnfit);
        Index site_numbers = 0, vectors = 0;
        for (const RuleParam& p : rule.params(l)) {
            if (p.is == RuleParam::Is::numbers)
                site_numbers += p.shape.count();
            else
                vectors += p.shape.count() / rule.shape().channels;
        }
        std::vector<Dot> site_u, site_w;
        for (const plumb::Dot& dot : rule.read_dots(l)) site_u.push_back(kind_of(dot, false));
        Tape tape;
        const std::vector<Var> in = inputs(tape, std::max<Index>(site_numbers, 2)),
                               dots = inputs(tape, std::ssize(site_u));
        std::vector<Var> c(static_cast<std::size_t>(groups));
        rule.read(l, dots.data(), in.data(), c.data());
        const auto asks_q = std::count(site_u.begin(), site_u.end(), Dot::hq);
        require(all_one(c) && vectors == asks_q && (site_u.empty() || asks_q == 1), kUnfit);
        if (l > rule.sublayers()) {
            require(site_numbers + vectors == 0, kUnfit);
            break;
        }
        for (const plumb::Dot& dot : rule.write_dots(l)) site_w.push_back(kind_of(dot, true));
        require(l == 1 || (u == site_u && w == site_w && n_numbers == site_numbers),
                "sites of a running row are alike");
        u = site_u, w = site_w, n_numbers = site_numbers;
        const std::vector<Var> w_in = inputs(tape, std::ssize(site_w));
        std::vector<Var> a(static_cast<std::size_t>(2 * groups));
        rule.write(l, dots.data(), w_in.data(), in.data(), a.data());
        unit = unit && all_one(a);
    }
    require(n_dots() > 0 ? groups == 1 && n_numbers <= kNumbers && n_dots() <= kInputs - kNumbers
                         : groups == 1 || groups == rule.shape().channels,
            kUnfit);
}

}  // namespace plumb
