#include "mixers/sinkhorn.h"
#include "catch.h"
#include "check/gradient_check.h"
#include "check/self_check.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// P, and dLoss/dlogits from dLoss/dP, of one or of kTile matrices at once.
template <class N>
struct Passes {
    std::vector<N> p, g;
    Passes(int k, int iters, std::vector<N> logits, std::vector<N> dp)
        : p(std::move(logits)), g(std::move(dp)) {
        std::vector<N> saved(static_cast<std::size_t>(sinkhorn_saves(k, iters)));
        sinkhorn(k, iters, p.data(), saved.data());
        sinkhorn_backward(k, iters, saved.data(), g.data());
    }
};

// Largest |row sum - 1| or |column sum - 1|.
double marginal_error(const std::vector<double>& p, int k) {
    double worst = 0;
    for (int i = 0; i < k; ++i) {
        double row = 0, column = 0;
        for (int j = 0; j < k; ++j) {
            row += p[static_cast<std::size_t>(i * k + j)];
            column += p[static_cast<std::size_t>(j * k + i)];
        }
        worst = worse(worst, worse(std::abs(row - 1), std::abs(column - 1)));
    }
    return worst;
}

}  // namespace

TEST_CASE("sinkhorn: positive, columns sum to 1, rows as far as it converged", "[mixers]") {
    for (int k = 1; k <= 8; ++k) {
        Array<double> logits({{'K', k}, {'K', k}}, "logits");
        std::vector<double> p = logits.values();
        sinkhorn(k, 20, p.data());
        for (const double x : p) CHECK(x > 0);
        CHECK(marginal_error(p, k) <= 1e-3);
    }
    CHECK(sinkhorn_marginals(4, 20, 1).columns <= 2e-6);
    CHECK(sinkhorn_marginals(4, 20, 1).rows <= 1e-3);
    // Few iterations and large logits leave rows that are visibly off: the error is reported.
    CHECK(sinkhorn_marginals(4, 2, 1).rows > 1e-2);
    CHECK(sinkhorn_marginals(4, 20, 5).rows > 1e-3);
    CHECK(sinkhorn_marginals(4, 2, 5).columns <= 1e-5);  // 1e-6 over the smallest column sum
}

TEST_CASE("sinkhorn: twenty iterations against sixty-four", "[mixers]") {
    Array<double> logits({{'K', 4}, {'K', 4}}, "logits");
    std::vector<double> few = logits.values(), many = few;
    sinkhorn(4, 20, few.data());
    sinkhorn(4, kMaxSinkhornIters, many.data());
    CHECK(marginal_error(many, 4) <= 5e-6);
    CHECK(relative_error(std::span(few), std::span(many)) <= 1e-4);
}

TEST_CASE("sinkhorn: a tile of tokens is that many matrices", "[mixers]") {
    for (const int k : {3, 4}) {
        Array<double> logits({{'E', k * k}, {'T', kTile}}, "logits"),
            dp({{'E', k * k}, {'T', kTile}}, "dp");
        std::vector<Lanes<double>> x(static_cast<std::size_t>(k * k)), g(x);
        for (std::size_t e = 0; e < x.size(); ++e) {
            std::copy_n(logits.row(static_cast<Index>(e)), kTile, x[e].data());
            std::copy_n(dp.row(static_cast<Index>(e)), kTile, g[e].data());
        }
        const Passes<Lanes<double>> tile(k, 20, x, g);
        for (int t = 0; t < kTile; ++t) {
            std::vector<double> one, done;
            for (std::size_t e = 0; e < x.size(); ++e)
                one.push_back(x[e].data()[t]), done.push_back(g[e].data()[t]);
            const Passes<double> single(k, 20, one, done);
            for (std::size_t e = 0; e < x.size(); ++e) {
                CHECK(std::abs(tile.p[e].data()[t] - single.p[e]) <= 1e-14);
                CHECK(std::abs(tile.g[e].data()[t] - single.g[e]) <= 1e-14);
            }
        }
    }
}

TEST_CASE("sinkhorn: one stream gives 1 and no gradient", "[mixers]") {
    const Passes<double> one(1, 20, {3.0}, {1.0});
    CHECK(std::abs(one.p[0] - 1) <= 2e-6);
    CHECK(one.g[0] == 0);
}

TEST_CASE("sinkhorn: backward against differences, and against duals", "[mixers]") {
    for (const int k : {2, 3, 4, 8})
        for (const int iters : {1, 2, 5, 20}) {
            const Shape shape{{'K', k}, {'K', k}};
            Array<double> logits(shape, "logits"), weights(shape, "weights");
            const Passes<double> by_hand(k, iters, logits.values(), weights.values());
            const auto loss = [&] {
                std::vector<double> p = logits.values();
                sinkhorn(k, iters, p.data());
                return weighted_sum(p, weights.values());
            };
            std::vector<double> differences(by_hand.g.size()), forward(by_hand.g.size());
            for (std::size_t i = 0; i < differences.size(); ++i)
                differences[i] = central_difference(loss, logits.values()[i]);

            std::vector<DualNumber> x(logits.values().begin(), logits.values().end());
            const auto along = [&] {
                std::vector<DualNumber> p = x;
                sinkhorn(k, iters, p.data());
                DualNumber::Directions sum{};
                for (std::size_t i = 0; i < p.size(); ++i) sum += weights.values()[i] * p[i].d;
                return sum;
            };
            gradient_by_duals(std::ssize(x), x.data(), along, forward.data());

            INFO("k=" << k << " iters=" << iters);
            CHECK(relative_error(std::span(by_hand.g), std::span(differences)) <= 1e-8);
            CHECK(relative_error(std::span(by_hand.g), std::span(forward)) <= 1e-12);
        }
}
