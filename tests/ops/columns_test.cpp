#include "ops/columns.h"

#include "catch.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("columns go into a matrix and come out of it, and others stay", "[ops]") {
    for (const int threads : {1, 2}) {
        const Context ctx{Device::cpu, threads};
        Array<float> whole({{'N', 70}, {'Q', 9}}, "whole"), part({{'N', 70}, {'P', 4}}, "part");
        const Array<float> before = whole;
        Array<float> out({{'N', 70}, {'P', 4}}, 0.0f);
        put_columns<float>(ctx, part, 3, whole);
        take_columns<float>(ctx, whole, 3, out);
        for (Index n = 0; n < 70; ++n)
            for (Index i = 0; i < 9; ++i) {
                const bool inside = i >= 3 && i < 7;
                CHECK(whole[n * 9 + i] == (inside ? part[n * 4 + i - 3] : before[n * 9 + i]));
                if (inside) CHECK(out[n * 4 + i - 3] == part[n * 4 + i - 3]);
            }
        CHECK_THROWS_AS(put_columns<float>(ctx, part, 6, whole), InternalError);
        CHECK_THROWS_AS(take_columns<float>(ctx, whole, -1, out), InternalError);
    }
}

TEST_CASE("the last columns take a multiple of others, and gradients go back", "[ops]") {
    constexpr Index kRows = 70, kFrom = 9, kTo = 7, kWidth = 4;
    for (const int threads : {1, 2}) {
        const Context ctx{Device::cpu, threads};
        const Array<double> from({{'N', kRows}, {'Q', kFrom}}, "from"), scale({{'S', 1}}, "scale"),
            dto({{'N', kRows}, {'Q', kTo}}, "dto");
        Array<double> to({{'N', kRows}, {'Q', kTo}}, "to");
        const Array<double> before = to;
        add_last_columns<double>(ctx, from, kWidth, scale, to);
        Array<double> dscale({{'S', 1}}, 1.0), dfrom({{'N', kRows}, {'P', kWidth}}, 9.0),
            sums({{'P', n_chunks(kRows)}}, 0.0), onto({{'N', kRows}, {'Q', kTo}}, 0.0);
        add_last_columns_backward<double>(ctx, from, scale, dto, false, sums, dscale, dfrom);
        double want = 1;
        for (Index n = 0; n < kRows; ++n)
            for (Index i = 0; i < kTo; ++i) {
                const Index k = i - (kTo - kWidth);
                const double x = k < 0 ? 0 : from[n * kFrom + kFrom - kWidth + k];
                CHECK(std::abs(to[n * kTo + i] - (before[n * kTo + i] + scale[0] * x)) <= 1e-15);
                if (k < 0) continue;
                want += x * dto[n * kTo + i];
                CHECK(dfrom[n * kWidth + k] == scale[0] * dto[n * kTo + i]);
            }
        CHECK(std::abs(dscale[0] - want) <= 1e-12);
        add_last_columns_backward<double>(ctx, from, scale, dto, true, sums, dscale, dfrom);
        add_to_last_columns<double>(ctx, dfrom, onto);
        for (Index n = 0; n < kRows; ++n)
            for (Index i = 0; i < kTo; ++i)
                CHECK(onto[n * kTo + i] ==
                      (i < kTo - kWidth ? 0 : 2 * scale[0] * dto[n * kTo + i]));
    }
}
