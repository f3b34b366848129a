#include "ops/attention_decode.h"

#include "catch.h"
#include "core/rng.h"
#include "ops/linear_decode.h"

#include <cmath>
#include <limits>
#include <vector>

using namespace plumb;

namespace {

template <class Real>
struct Heads {
    std::vector<Real> data;
    View<Real> view;
    Heads(Index n, Index c, const char* name = nullptr, double size = 1)
        : data(static_cast<std::size_t>(n * c)),
          view{data.data(), {{'N', n}, {'C', c}}, Device::cpu} {
        if (!name) return;
        const CounterRng rng(1, name);
        for (std::size_t i = 0; i < data.size(); ++i)
            data[i] = static_cast<Real>(size * rng.normal(i));
    }
};

// Attention of all T positions by ops/attention.h, and position by position or in pieces.
template <class Real>
struct BothWays {
    AttentionShape s;
    bool norm;
    Heads<Real> qkv, gain_q, gain_k, cos, sin;

    BothWays(const AttentionShape& shape, bool qk_norm)
        : s(shape),
          norm(qk_norm),
          qkv(s.tokens(), s.qkv_width(), "qkv"),
          gain_q(1, s.head_dim, "gain_q"),
          gain_k(1, s.head_dim, "gain_k"),
          cos(s.context, s.head_dim / 2),
          sin(s.context, s.head_dim / 2) {
        rope_table<Real>(100.0, cos.view, sin.view);
    }
    View<const Real> gain(Heads<Real>& g) { return norm ? g.view : View<Real>{}; }

    // Every score and weight is computed again here, in plain loops.
    std::vector<Real> reference() {
        const Index d = s.head_dim, heads = s.heads + s.kv_heads;
        std::vector<double> qk(static_cast<std::size_t>(s.tokens() * heads * d));
        for (Index n = 0; n < s.tokens(); ++n)
            for (Index h = 0; h < heads; ++h) {
                double* to = qk.data() + (n * heads + h) * d;
                const Real* x = qkv.view.row(n) + h * d;
                double square = 0;
                for (Index i = 0; i < d; ++i) square += double(x[i]) * double(x[i]);
                const double r = norm ? 1 / std::sqrt(square / double(d) + 1e-6) : 1;
                for (Index i = 0; i < d; ++i)
                    to[i] =
                        double(x[i]) * r *
                        (norm ? double((h < s.heads ? gain_q : gain_k).data[std::size_t(i)]) : 1);
                for (Index i = 0; i < d / 2; ++i) {
                    const double angle =
                        double(n % s.context) * std::pow(100.0, -double(i) / double(d / 2));
                    const double a = to[i], b = to[i + d / 2];
                    to[i] = a * std::cos(angle) - b * std::sin(angle);
                    to[i + d / 2] = b * std::cos(angle) + a * std::sin(angle);
                }
            }
        std::vector<Real> out;
        for (Index n = 0; n < s.tokens(); ++n)
            for (Index h = 0; h < s.heads; ++h) {
                const Index kv = h / (s.heads / s.kv_heads), start = n - n % s.context;
                std::vector<double> p;
                double sum = 0;
                for (Index m = start; m <= n; ++m) {
                    double dot = 0;
                    for (Index i = 0; i < d; ++i)
                        dot += qk[std::size_t((n * heads + h) * d + i)] *
                               qk[std::size_t((m * heads + s.heads + kv) * d + i)];
                    p.push_back(std::exp(dot / std::sqrt(double(d))));
                    sum += p.back();
                }
                for (Index i = 0; i < d; ++i) {
                    double x = 0;
                    for (Index m = start; m <= n; ++m)
                        x += p[std::size_t(m - start)] / sum *
                             double(qkv.view.row(m)[(s.heads + s.kv_heads + kv) * d + i]);
                    out.push_back(static_cast<Real>(x));
                }
            }
        return out;
    }

    // `width` positions at a time, the last of them fewer.
    std::vector<Real> decoded(Index width, int threads = 1) {
        const Index room = cache_positions(s.context), h = s.batch * s.kv_heads;
        const Real nan = std::numeric_limits<Real>::quiet_NaN();
        Heads<Real> keys(h * s.head_dim, room), values(h * s.context, s.head_dim), scores(h, room);
        for (auto* x : {&keys, &values, &scores}) std::fill(x->data.begin(), x->data.end(), nan);
        Heads<Real> in(s.batch * width, s.qkv_width()), out(s.batch * width, s.out_width());
        std::vector<Real> all(static_cast<std::size_t>(s.tokens() * s.out_width()));
        for (Index first = 0; first < s.context; first += width) {
            const Index count = std::min(width, s.context - first);
            std::fill(in.data.begin(), in.data.end(), nan);
            for (Index b = 0; b < s.batch; ++b)
                for (Index i = 0; i < count; ++i)
                    std::copy_n(qkv.view.row(b * s.context + first + i), s.qkv_width(),
                                in.view.row(b * width + i));
            attention_decode<Real>({Device::cpu, threads}, s, {first, count, width}, in.view,
                                   gain(gain_q), gain(gain_k), Real(1e-6), {keys.view, values.view},
                                   {cos.view, sin.view, scores.view}, out.view);
            for (Index b = 0; b < s.batch; ++b)
                for (Index i = 0; i < count; ++i)
                    std::copy_n(out.view.row(b * width + i), s.out_width(),
                                all.data() + (b * s.context + first + i) * s.out_width());
        }
        return all;
    }
};

template <class Real>
double largest_difference(const std::vector<Real>& a, const std::vector<Real>& b) {
    double worst = a.size() == b.size() ? 0 : std::numeric_limits<double>::quiet_NaN();
    for (std::size_t i = 0; i < a.size(); ++i)
        if (const double d = std::abs(double(a[i]) - double(b[i])); !(d <= worst)) worst = d;
    return worst;
}

// Grouped heads, an odd number of channel groups, a head wider than a tile.
const AttentionShape kShapes[] = {{2, 37, 4, 2, 6}, {1, 20, 2, 2, 70}, {3, 5, 3, 1, 64}};

}  // namespace

TEST_CASE("attention from a cache is the definition, one position at a time", "[ops]") {
    for (const AttentionShape& s : kShapes)
        for (const bool norm : {false, true}) {
            BothWays<double> twice(s, norm);
            BothWays<float> once(s, norm);
            // Sums of at most 37 weights in [0, 1] that add to 1, and of 70 products, of numbers of
            // order 1 (scores of order 10): 1e2 roundings, each of at most eps times 10.
            CHECK(largest_difference(twice.decoded(1), twice.reference()) <= 1e3 * 2.3e-16);
            CHECK(largest_difference(once.decoded(1), once.reference()) <= 1e3 * 1.2e-7);
        }
}

TEST_CASE("attention from a cache has the same bits in pieces and on threads", "[ops]") {
    for (const AttentionShape& s : kShapes) {
        BothWays<float> ways(s, true);
        const auto one = ways.decoded(1);
        for (const Index width : {Index{3}, Index{16}, s.context})
            CHECK((ways.decoded(width) == one));
        CHECK((ways.decoded(2, 2) == one));
    }
}

TEST_CASE("linear layers of few rows are right, with bits of each row its own", "[ops]") {
    const auto check = [](auto zero, double tolerance) {
        using Real = decltype(zero);
        for (const Index in : {1, 16, 37, 96})
            for (const Index out : {1, 6, 35}) {
                Heads<Real> x(9, in, "x"), w(out, in, "w"), all(9, out), some(9, out);
                linear_decode<Real>({}, x.view, w.view, all.view);
                double error = 0;
                for (Index n = 0; n < 9; ++n)
                    for (Index o = 0; o < out; ++o) {
                        double sum = 0, size = 0;
                        for (Index i = 0; i < in; ++i) {
                            const double t = double(x.view.row(n)[i]) * double(w.view.row(o)[i]);
                            sum += t, size += std::abs(t);
                        }
                        const double e = std::abs(double(all.view.row(n)[o]) - sum) / size;
                        if (!(e <= error)) error = e;
                    }
                INFO("in " << in << " out " << out);
                CHECK(error <= double(in + 4) * tolerance);
                for (Index n = 1; n <= 9; ++n)
                    for (const int threads : {1, 2}) {
                        const View<const Real> rows{
                            x.data.data(), {{'N', n}, {'C', in}}, Device::cpu};
                        linear_decode<Real>(
                            {Device::cpu, threads}, rows, w.view,
                            {some.data.data(), {{'N', n}, {'C', out}}, Device::cpu});
                        CHECK(std::equal(some.data.begin(), some.data.begin() + n * out,
                                         all.data.begin()));
                    }
            }
    };
    check(float{}, std::numeric_limits<float>::epsilon());
    check(double{}, std::numeric_limits<double>::epsilon());
}
