#include "core/plan.h"

#include "catch.h"
#include "core/params.h"
#include "core/size.h"

using namespace plumb;

TEST_CASE("sizes that no machine has are refused by name, without overflow", "[core]") {
    const Index big = Index{1} << 40;
    Plan plan;
    CHECK_THROWS_WITH(plan.saved<float>("layer.0.x", {{'N', big}, {'C', big}}),
                      contains_text("layer.0.x (N=1099511627776, C=1099511627776)"));
    // 2^40 x 2^40 bytes is 0 in 64 bits; so is the sum of 2^15 tensors of 2^49.
    for (int i = 0; i < 2; ++i) plan.saved<char>(fmt::format("t{}", i), {{'N', Index{1} << 49}});
    CHECK_THROWS_AS(plan.saved<char>("t2", {{'N', 1}}), UsageError);

    ParamStore<float> params;
    ParamSpec spec;
    spec.name = "embedding";
    spec.shape = {{'V', big}, {'C', big}};
    CHECK_THROWS_AS(params.declare(spec), UsageError);
}

TEST_CASE("names are declared once", "[core]") {
    Plan plan;
    plan.saved<float>("a", {{'N', 1}});
    CHECK_THROWS_AS(plan.scratch<float>("a", {{'N', 1}}), InternalError);
}
