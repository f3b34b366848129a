#include "mixers/memories/row_uses.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr const char* kUnfit = "a running row carries one row, read as it is, changed by its dots";

bool all_one(const std::vector<Traced>& all) {
    return std::all_of(all.begin(), all.end(), [](const Traced& x) { return x.is(1); });
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

// a_0 of the groups at sublayer l as the numbers start, with dot products of 1.
bool starts_at_zero(const Rule& rule, int l, int n_dots) {
    std::vector<double> p, dots(static_cast<std::size_t>(n_dots), 1.0),
        a(static_cast<std::size_t>(2 * rule.groups()), 0.0);
    for (const RuleParam& param : rule.params(l)) {
        if (param.is != RuleParam::Is::numbers) continue;
        const auto n = static_cast<std::size_t>(param.shape.count());
        if (param.init.kind == Init::Kind::values)
            p.insert(p.end(), param.init.list.begin(), param.init.list.end());
        else
            p.insert(p.end(), n, param.init.scale);
    }
    rule.write(l, dots.data(), dots.data(), p.data(), a.data());
    for (std::size_t g = 0; g < a.size(); g += 2)
        if (a[g] == 0) return true;
    return false;
}

}  // namespace

RowUses::RowUses(const Rule& rule) : groups(rule.groups()), unit(true) {
    for (int l = 1; l <= rule.sublayers() + 1; ++l) {
        require(rule.rows(l) == 1 && rule.ways(l) == 1 && rule.stream_rows() == 1, kUnfit);
        const auto n_p = static_cast<int>(count(rule.params(l), RuleParam::Is::numbers));
        const Index vectors = count(rule.params(l), RuleParam::Is::vectors) / rule.shape().channels;
        std::vector<Dot> site_u, site_w;
        for (const plumb::Dot& dot : rule.read_dots(l)) site_u.push_back(kind_of(dot, false));
        const auto n_u = static_cast<int>(site_u.size());
        ScalarProgram(n_u, n_p, [&](const Traced* u_in, const Traced* p) {
            std::vector<Traced> c(static_cast<std::size_t>(groups));
            rule.read(l, u_in, p, c.data());
            require(all_one(c), kUnfit);
            return c;
        });
        const auto asks_q = std::count(site_u.begin(), site_u.end(), Dot::hq);
        require(vectors == asks_q && (site_u.empty() || asks_q == 1), kUnfit);
        if (l > rule.sublayers()) {
            require(n_p + vectors == 0, kUnfit);
            break;
        }
        for (const plumb::Dot& dot : rule.write_dots(l)) site_w.push_back(kind_of(dot, true));
        require(l == 1 || (u == site_u && w == site_w && n_numbers == n_p),
                "sites of a running row are alike");
        u = site_u, w = site_w, n_numbers = n_p;
        const auto n_w = static_cast<int>(site_w.size());
        require(!starts_at_zero(rule, l, n_u + n_w),
                "a running row divides by a_0: a rule that starts with 0 is for the plain memory");
        a.emplace_back(n_u + n_w, n_p, [&](const Traced* u_in, const Traced* p) {
            std::vector<Traced> out(static_cast<std::size_t>(2 * groups));
            rule.write(l, u_in, u_in + n_u, p, out.data());
            unit = unit && all_one(out);
            return out;
        });
    }
    require(n_dots() > 0 ? groups == 1 && n_numbers <= kNumbers && n_dots() <= kDots
                         : groups == 1 || groups == rule.shape().channels,
            kUnfit);
}

}  // namespace plumb
