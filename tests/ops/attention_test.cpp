// Causal attention against the plain double loop over pairs, forward and backward, at the edges of
// its tiles, with grouped heads and with normed queries and keys.
#include "ops/attention.h"

#include "catch.h"
#include "experiment/gradient_check.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr double kEps = 0.01, kBase = 100;

struct Attention {
    Attention(AttentionShape shape, bool with_norm, int n_threads)
        : s(shape),
          norm(with_norm),
          threads(n_threads),
          qkv({{'N', s.tokens()}, {'Q', s.qkv_width()}}, "qkv"),
          dout({{'N', s.tokens()}, {'O', s.out_width()}}, "dout"),
          out(dout.view().shape, 9.0),
          dqkv(qkv.view().shape, 9.0),
          gain_q({{'D', s.head_dim}}, "gain_q"),
          gain_k({{'D', s.head_dim}}, "gain_k"),
          dgain_q({{'D', s.head_dim}}, 0.0),
          dgain_k({{'D', s.head_dim}}, 0.0),
          rstd({{'N', s.tokens()}, {'H', s.heads + s.kv_heads}}, 9.0),
          lse({{'B', s.batch}, {'H', s.heads}, {'T', s.context}}, 9.0),
          scores({{'P', n_threads}, {'2', 2}, {'I', kAttentionTile}, {'T', s.context}}, 9.0),
          cos({{'T', s.context}, {'D', s.head_dim / 2}}, 9.0),
          sin(cos),
          qk({{'N', s.tokens()}, {'Q', s.qk_width()}}, 9.0),
          dqk(qk) {
        rope_table<double>(kBase, cos, sin);
    }
    AttentionWorkspace<double> work() { return {scores, cos, sin, qk, dqk}; }
    View<const double> gain(Array<double>& g) {
        return norm ? View<const double>(g) : View<const double>{};
    }

    // qkv as it is now; the normed copy that backward needs stays in `saved`.
    double forward() {
        saved = qkv.values();
        attention<double>({Device::cpu, threads}, s, {saved.data(), qkv.view().shape, Device::cpu},
                          gain(gain_q), gain(gain_k), kEps, rstd, out, lse, work());
        double sum = 0;
        for (Index i = 0; i < out.size(); ++i) sum += out[i] * dout[i];
        return sum;
    }
    void backward() {
        attention_backward<double>(
            {Device::cpu, threads}, s, dout, {saved.data(), qkv.view().shape, Device::cpu},
            gain(gain_q), gain(gain_k), rstd, out, lse, dqkv,
            norm ? dgain_q.view() : View<double>{}, norm ? dgain_k.view() : View<double>{}, work());
    }

    AttentionShape s;
    bool norm;
    int threads;
    Array<double> qkv, dout, out, dqkv, gain_q, gain_k, dgain_q, dgain_k, rstd, lse, scores, cos,
        sin, qk, dqk;
    std::vector<double> saved;
};

// q or k head of token n after norm, gain and rotation, from the definition.
std::vector<double> head(const Attention& a, Index n, Index column, const Array<double>& gain) {
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

std::vector<double> naive(const Attention& a) {
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
            for (Index m = start; m <= n; ++m)
                for (Index i = 0; i < d; ++i)
                    out[static_cast<std::size_t>(n * s.out_width() + h * d + i)] +=
                        weights[static_cast<std::size_t>(m - start)] / total *
                        a.qkv[m * s.qkv_width() + s.qk_width() + kv * d + i];
        }
    return out;
}

}  // namespace

TEST_CASE("attention against a double loop", "[ops]") {
    for (const Index context : {1, 2, 63, 64, 65, 130})
        for (const Index kv_heads : {1, 2, 4})
            for (const bool norm : {false, true}) {
                Attention a({2, context, 4, kv_heads, 6}, norm, 2);
                a.forward();
                INFO("T=" << context << " kv_heads=" << kv_heads << " norm=" << norm);
                const std::vector<double> want = naive(a);
                CHECK(relative_error(a.out.span(), std::span(want)) <= 1e-13);
            }
}

TEST_CASE("attention backward against differences", "[ops]") {
    for (const auto& [context, kv_heads] : {std::pair<Index, Index>{5, 1}, {5, 2}, {65, 2}})
        for (const bool norm : {false, true}) {
            Attention a({2, context, 2, kv_heads, 4}, norm, 1);
            a.forward();
            a.backward();
            // All of a short sequence, a sample of a long one (prime, so all columns are met).
            const std::size_t step = context > 10 ? 37 : 1;
            std::vector<double> got, want;
            for (std::size_t i = 0; i < a.qkv.values().size(); i += step) {
                got.push_back(a.dqkv.values()[i]);
                want.push_back(central_difference([&] { return a.forward(); }, a.qkv.values()[i]));
            }
            INFO("T=" << context << " kv_heads=" << kv_heads << " norm=" << norm);
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
