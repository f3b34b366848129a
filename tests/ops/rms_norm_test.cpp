#include "ops/rms_norm.h"

#include "catch.h"
#include "experiment/gradient_check.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("rms_norm and apply_gain", "[ops]") {
    for (const Index c : {1, 7, 64, 65}) {
        const Shape nc{{'N', 3}, {'C', c}};
        Array<double> x(nc, "x"), xhat(nc, 9.0), y(nc, 9.0), rstd({{'N', 3}}, 9.0);
        Array<double> gain({{'C', c}}, "gain");
        rms_norm<double>({}, x, 0.01, xhat, rstd);
        apply_gain<double>({}, xhat, gain, y);
        for (Index n = 0; n < 3; ++n) {
            double mean = 0;
            for (Index i = 0; i < c; ++i)
                mean += x.row(n)[i] * x.row(n)[i] / static_cast<double>(c);
            const double r = 1 / std::sqrt(mean + 0.01);
            CHECK(std::abs(rstd[n] - r) <= 1e-14 * r);
            for (Index i = 0; i < c; ++i)
                CHECK(std::abs(y.row(n)[i] - x.row(n)[i] * r * gain[i]) <= 1e-14);
        }
    }
}

TEST_CASE("rms_norm backward against differences, in place and with several chunks", "[ops]") {
    const Index n = kTokenChunk + 2, c = 7;
    const Shape nc{{'N', n}, {'C', c}};
    Array<double> x(nc, "x"), xhat(nc, 0.0), y(nc, 0.0), rstd({{'N', n}}, 0.0);
    Array<double> gain({{'C', c}}, "gain"), dy(nc, "dy"), dgain({{'C', c}}, 0.0);
    Array<double> partial({{'P', n_chunks(n)}, {'C', c}}, 9.0);
    const auto loss = [&] {
        rms_norm<double>({}, x, 0.01, xhat, rstd);
        apply_gain<double>({}, xhat, gain, y);
        return weighted_sum(y.values(), dy.values());
    };
    loss();
    Array<double> dx = dy;
    rms_norm_backward<double>({}, dx, xhat, rstd, gain, dx, dgain, partial);
    std::vector<double> want_dx(x.values().size()), want_dgain(7);
    for (std::size_t i = 0; i < want_dx.size(); ++i)
        want_dx[i] = central_difference(loss, x.values()[i]);
    for (std::size_t i = 0; i < 7; ++i) want_dgain[i] = central_difference(loss, gain.values()[i]);
    CHECK(relative_error(dx.span(), std::span(want_dx)) <= 1e-8);
    CHECK(relative_error(dgain.span(), std::span(want_dgain)) <= 1e-8);
}
