// Causal attention against the plain double loop over pairs, forward and backward, at the edges of
// its tiles, with grouped heads and with normed queries and keys.
#include "ops/attention_case.h"

#include "catch.h"
#include "check/gradient_check.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// q or k head of token n after norm, gain and rotation, from the definition.
std::vector<double> head(const Attention<double>& a, Index n, Index column,
                         const Array<double>& gain) {
    const Index d = a.s.head_dim, t = n % a.s.context;
    std::vector<double> x(static_cast<std::size_t>(d)), y(x.size());
    double square = 0;
    for (Index i = 0; i < d; ++i) {
        x[static_cast<std::size_t>(i)] = a.qkv[n * a.s.qkv_width() + column + i];
        square += x[static_cast<std::size_t>(i)] * x[static_cast<std::size_t>(i)];
    }
    for (Index i = 0; a.norm && i < d; ++i)
        x[static_cast<std::size_t>(i)] *=
            gain[i] / std::sqrt(square / static_cast<double>(d) + kEps);
    for (Index i = 0; i < d / 2; ++i) {
        const double angle =
            static_cast<double>(t) *
            std::pow(kBase, -2.0 * static_cast<double>(i) / static_cast<double>(d));
        const auto lo = static_cast<std::size_t>(i), hi = static_cast<std::size_t>(i + d / 2);
        y[lo] = x[lo] * std::cos(angle) - x[hi] * std::sin(angle);
        y[hi] = x[hi] * std::cos(angle) + x[lo] * std::sin(angle);
    }
    return y;
}

double kept(const Dropout& d, Index row, Index column) {
    double factors[kDropoutBlock];
    dropout_factors(d, row, column / kDropoutBlock, factors);
    return factors[column % kDropoutBlock];
}

std::vector<double> naive(const Attention<double>& a) {
    const AttentionShape& s = a.s;
    const Index d = s.head_dim;
    std::vector<double> out(static_cast<std::size_t>(s.tokens() * s.out_width()), 0.0);
    for (Index n = 0; n < s.tokens(); ++n)
        for (Index h = 0; h < s.heads; ++h) {
            const Index kv = h / (s.heads / s.kv_heads), start = n / s.context * s.context;
            const std::vector<double> q = head(a, n, h * d, a.gain_q);
            double total = 0;
            std::vector<double> weights;
            for (Index m = start; m <= n; ++m) {
                const std::vector<double> k = head(a, m, (s.heads + kv) * d, a.gain_k);
                weights.push_back(std::exp(weighted_sum(q, k) / std::sqrt(static_cast<double>(d))));
                total += weights.back();
            }
            const Index row = (n / s.context * s.heads + h) * s.context + n % s.context;
            for (Index m = start; m <= n; ++m)
                for (Index i = 0; i < d; ++i)
                    out[static_cast<std::size_t>(n * s.out_width() + h * d + i)] +=
                        kept(a.dropout, row, m - start) *
                        weights[static_cast<std::size_t>(m - start)] / total *
                        a.qkv[m * s.qkv_width() + s.qk_width() + kv * d + i];
        }
    return out;
}

}  // namespace

TEST_CASE("attention against a double loop", "[ops]") {
    for (const Index context : {1, 2, 63, 64, 65, 130})
        for (const Index kv_heads : {1, 2, 4})
            for (const auto& [norm, p] : {std::pair{false, 0.0}, {true, 0.0}, {false, 0.3}}) {
                Attention<double> a({2, context, 4, kv_heads, 6}, norm, 2, p);
                a.forward();
                INFO("T=" << context << " kv_heads=" << kv_heads << " norm=" << norm << " p=" << p);
                const std::vector<double> want = naive(a);
                CHECK(relative_error(a.out.span(), std::span(want)) <= 1e-13);
            }
}

TEST_CASE("attention backward against differences", "[ops]") {
    for (const auto& [context, kv_heads] : {std::pair<Index, Index>{5, 1}, {5, 2}, {65, 2}})
        for (const auto& [norm, p] : {std::pair{false, 0.0}, {true, 0.0}, {true, 0.4}}) {
            Attention<double> a({2, context, 2, kv_heads, 4}, norm, 1, p);
            a.forward();
            a.backward();
            // All of a short sequence, a sample of a long one (prime, so all columns are met).
            const std::size_t step = context > 10 ? 37 : 1;
            std::vector<double> got, want;
            for (std::size_t i = 0; i < a.qkv.values().size(); i += step) {
                got.push_back(a.dqkv.values()[i]);
                want.push_back(central_difference([&] { return a.forward(); }, a.qkv.values()[i]));
            }
            INFO("T=" << context << " kv_heads=" << kv_heads << " norm=" << norm << " p=" << p);
            CHECK(relative_error(std::span(got), std::span(want)) <= 1e-8);
            if (!norm) continue;
            for (auto [gain, dgain] : {std::pair{&a.gain_q, &a.dgain_q}, {&a.gain_k, &a.dgain_k}}) {
                std::vector<double> numeric(gain->values().size());
                for (std::size_t i = 0; i < numeric.size(); ++i)
                    numeric[i] = central_difference([&] { return a.forward(); }, gain->values()[i]);
                CHECK(relative_error(dgain->span(), std::span(numeric)) <= 1e-8);
            }
        }
}

namespace {

// Largest differences of out, dqkv and both dgain to the double op on the same numbers, relative to
// the largest number of each.
template <class T>
std::vector<double> errors(const AttentionShape& s, bool norm, double p) {
    Attention<T> a(s, norm, 2, p);
    Attention<double> oracle(s, norm, 1, p);
    for (Index i = 0; i < a.qkv.size(); ++i) oracle.qkv[i] = static_cast<double>(a.qkv[i]);
    for (Index i = 0; i < a.dout.size(); ++i) oracle.dout[i] = static_cast<double>(a.dout[i]);
    for (Index i = 0; i < s.head_dim; ++i) {
        oracle.gain_q[i] = static_cast<double>(a.gain_q[i]);
        oracle.gain_k[i] = static_cast<double>(a.gain_k[i]);
    }
    a.forward(), oracle.forward();
    a.backward(), oracle.backward();
    std::vector<double> out;
    const auto compare = [&](const auto& got, const Array<double>& want) {
        double worst = 0, largest = 0;
        for (Index i = 0; i < want.size(); ++i) {
            const double e = std::abs(static_cast<double>(got[i]) - want[i]);
            if (!(e <= worst)) worst = e;
            largest = std::max(largest, std::abs(want[i]));
        }
        out.push_back(worst / (largest + 1e-300));
    };
    compare(a.out, oracle.out), compare(a.dqkv, oracle.dqkv);
    if (norm) compare(a.dgain_q, oracle.dgain_q), compare(a.dgain_k, oracle.dgain_k);
    return out;
}

}  // namespace

TEST_CASE("attention in float and Bf16 against double", "[ops]") {
    for (const Index context : {2, 65, 130})
        for (const bool norm : {false, true})
            for (const double p : {0.0, 0.3}) {
                const AttentionShape s{2, context, 4, 2, 8};
                INFO("T=" << context << " norm=" << norm << " p=" << p);
                // Sums of up to 130 products in float.
                for (const double e : errors<float>(s, norm, p)) CHECK(e <= 130 * 1.2e-7);
                // Inputs equal, float inside: out and dqkv are rounded once, and the rounding of
                // out enters the gradients by delta = <out, dout>.
                for (const double e : errors<Bf16>(s, norm, p)) CHECK(e <= kBf16Epsilon);
            }
}

TEST_CASE("attention gives the same bits for any number of threads", "[ops]") {
    Attention<Bf16> one({3, 70, 4, 2, 8}, true, 1, 0.2), two({3, 70, 4, 2, 8}, true, 2, 0.2);
    for (Attention<Bf16>* a : {&one, &two}) a->forward(), a->backward();
    Index wrong = 0;
    for (Index i = 0; i < one.dqkv.size(); ++i) wrong += one.dqkv[i].bits != two.dqkv[i].bits;
    for (Index i = 0; i < one.out.size(); ++i) wrong += one.out[i].bits != two.out[i].bits;
    CHECK(wrong == 0);
    CHECK(one.dgain_q.values() == two.dgain_q.values());
    CHECK(one.dgain_k.values() == two.dgain_k.values());
}
