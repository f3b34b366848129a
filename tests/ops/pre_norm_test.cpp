#include "ops/pre_norm_cpu.h"

#include "catch.h"
#include "check/gradient_check.h"
#include "ops/reduce.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// A PreNorm over arrays of its own, dx and gain of some size.
struct Norm {
    Array<double> xhat, x, rstd, gain, dx, dgain;
    PreNorm<double> norm;

    Norm(Index n, Index c)
        : xhat({{'N', n}, {'C', c}}, 9.0),
          x({{'N', n}, {'C', c}}, 9.0),
          rstd({{'N', n}}, 9.0),
          gain({{'C', c}}, "gain"),
          dx({{'N', n}, {'C', c}}, "dx"),
          dgain({{'P', n_chunks(n)}, {'C', c}}, 9.0),
          norm{xhat, rstd, gain, x, 0.01, dx, dgain} {}
};

}  // namespace

TEST_CASE("a pre-norm normalises, and gives h again", "[ops]") {
    for (const Index c : {1, 7, 64, 65}) {
        Norm of(3, c);
        Array<double> h({{'N', 3}, {'C', c}}, "h"), again({{'C', c}}, 9.0), x = of.x;
        for (Index n = 0; n < 3; ++n) {
            norm_put(of.norm, n, h.row(n));
            double mean = 0;
            for (Index i = 0; i < c; ++i)
                mean += h.row(n)[i] * h.row(n)[i] / static_cast<double>(c);
            const double r = 1 / std::sqrt(mean + 0.01);
            CHECK(std::abs(of.rstd[n] - r) <= 1e-14 * r);
            norm_value(of.norm, n, again.row(0));
            for (Index i = 0; i < c; ++i) {
                CHECK(std::abs(of.x.row(n)[i] - h.row(n)[i] * r * of.gain[i]) <= 1e-14);
                CHECK(std::abs(again[i] - h.row(n)[i]) <= 1e-14);
            }
        }
        Array<double> all = h;
        norm_values<double>({Device::cpu, 2}, of.norm, all);
        CHECK(all.row(2)[c - 1] == again[c - 1]);
        apply_gain<double>({}, of.xhat, of.gain, x);
        CHECK(x.values() == of.x.values());
    }
}

TEST_CASE("a pre-norm's gradient against differences, over several chunks", "[ops]") {
    const Index n_tokens = kTokenChunk + 2, c = 7;
    Norm of(n_tokens, c);
    Array<double> h(of.norm.xhat.shape, "h"), d = h, total({{'C', c}}, 0.0);
    const auto loss = [&] {
        for (Index n = 0; n < n_tokens; ++n) norm_put(of.norm, n, h.row(n));
        return weighted_sum(of.x.values(), of.dx.values());
    };
    loss();
    Array<double> all = h;
    norm_gradients<double>({Device::cpu, 2}, of.norm, all);
    clear<double>({}, of.dgain);
    for (Index n = 0; n < n_tokens; ++n) {
        const double along = norm_gradient(of.norm, n, d.row(n));
        CHECK(std::abs(along - dot(h.row(n), d.row(n), c)) <= 1e-13);
    }
    CHECK(relative_error(all.span(), d.span()) <= 1e-14);
    add_partials<double>({}, of.dgain, total);
    std::vector<double> want_d(h.values().size()), want_dgain(7);
    for (std::size_t i = 0; i < want_d.size(); ++i)
        want_d[i] = central_difference(loss, h.values()[i]);
    for (std::size_t i = 0; i < 7; ++i)
        want_dgain[i] = central_difference(loss, of.gain.values()[i]);
    CHECK(relative_error(d.span(), std::span(want_d)) <= 1e-8);
    CHECK(relative_error(total.span(), std::span(want_dgain)) <= 1e-8);
}

TEMPLATE_TEST_CASE("the first read whose mean square overflowed is noted", "[ops]", float, double) {
    const Index n = 2 * kTokenChunk + 3;
    for (const Index at : {Index(0), n / 2, n - 1}) {
        Array<TestType> rstd({{'N', n}}, TestType(0.5));
        double first = 0;
        note_overflow<TestType>({}, rstd, 1, host_scalar(first));
        CHECK(first == 0);
        rstd[at] = 0;
        note_overflow<TestType>({}, rstd, 3, host_scalar(first));
        CHECK(first == 3);
        note_overflow<TestType>({}, rstd, 4, host_scalar(first));
        CHECK(first == 3);
    }
}
