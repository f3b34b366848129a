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
