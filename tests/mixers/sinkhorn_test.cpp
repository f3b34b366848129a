#include "mixers/sinkhorn.h"
#include "catch.h"
#include "check/gradient_check.h"
#include "check/self_check.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("sinkhorn: positive, columns sum to 1, rows as far as it converged", "[mixers]") {
    for (int k = 1; k <= 8; ++k) {
        Array<double> logits({{'K', k}, {'K', k}}, "logits");
        std::vector<double> p(static_cast<std::size_t>(k * k));
        Sinkhorn<double> sinkhorn;
        sinkhorn.forward(logits.values().data(), k, 20, p.data());
        for (const double x : p) CHECK(x > 0);
        CHECK(marginal_error(p.data(), k) <= 1e-3);
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
    std::vector<double> few(16), many(16);
    Sinkhorn<double> sinkhorn;
    sinkhorn.forward(logits.values().data(), 4, 20, few.data());
    sinkhorn.forward(logits.values().data(), 4, kMaxSinkhornIters, many.data());
    CHECK(marginal_error(many.data(), 4) <= 5e-6);
    CHECK(relative_error(std::span(few), std::span(many)) <= 1e-4);
}

TEST_CASE("sinkhorn: sixteen side by side are sixteen", "[mixers]") {
    for (const int k : {3, 4}) {
        Array<double> logits({{'E', k * k}, {'T', 16}}, "logits"),
            dp({{'E', k * k}, {'T', 16}}, "dp");
        std::vector<double> p(logits.values().size()), dlogits(p.size());
        Sinkhorn<double, 16> sixteen;
        sixteen.forward(logits.values().data(), k, 20, p.data());
        sixteen.backward(dp.values().data(), dlogits.data());
        for (Index t = 0; t < 16; ++t) {
            std::vector<double> x, g, one(static_cast<std::size_t>(k * k)), done(one);
            for (Index e = 0; e < k * k; ++e)
                x.push_back(logits.row(e)[t]), g.push_back(dp.row(e)[t]);
            Sinkhorn<double> single;
            single.forward(x.data(), k, 20, one.data());
            single.backward(g.data(), done.data());
            for (std::size_t e = 0; e < one.size(); ++e) {
                CHECK(std::abs(p[e * 16 + static_cast<std::size_t>(t)] - one[e]) <= 1e-14);
                CHECK(std::abs(dlogits[e * 16 + static_cast<std::size_t>(t)] - done[e]) <= 1e-14);
            }
        }
    }
}

TEST_CASE("sinkhorn: one stream gives 1 and no gradient", "[mixers]") {
    Sinkhorn<double> sinkhorn;
    double logit = 3.0, p = 0, dp = 1, dlogit = 7;
    sinkhorn.forward(&logit, 1, 20, &p);
    CHECK(std::abs(p - 1) <= 2e-6);
    sinkhorn.backward(&dp, &dlogit);
    CHECK(dlogit == 0);
}

TEST_CASE("sinkhorn: backward against differences", "[mixers]") {
    for (const int k : {2, 3, 4, 8})
        for (const int iters : {1, 2, 5, 20}) {
            const Shape shape{{'K', k}, {'K', k}};
            Array<double> logits(shape, "logits"), weights(shape, "weights");
            std::vector<double> p(logits.values().size()), dlogits(p.size()), want(p.size());
            Sinkhorn<double> sinkhorn;
            const auto loss = [&] {
                sinkhorn.forward(logits.values().data(), k, iters, p.data());
                return weighted_sum(p, weights.values());
            };
            loss();
            sinkhorn.backward(weights.values().data(), dlogits.data());
            for (std::size_t i = 0; i < want.size(); ++i)
                want[i] = central_difference(loss, logits.values()[i]);
            INFO("k=" << k << " iters=" << iters);
            CHECK(relative_error(std::span(dlogits), std::span(want)) <= 1e-8);
        }
}
