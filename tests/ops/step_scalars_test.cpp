#include "ops/step_scalars.h"

#include "catch.h"

#include <algorithm>
#include <cmath>

using namespace plumb;

namespace {

StepScalars clipped(double square, double clip) {
    StepScalars s{.grad_square = square, .grad_norm = 7, .grad_scale = 7};
    clip_factor({}, clip, {&s, {{'S', 1}}});
    return s;
}

}  // namespace

TEST_CASE("the clip factor makes the norm at most the clip", "[ops]") {
    for (const double clip : {0.25, 1.0, 3.0})
        for (const double norm : {1e-3, 0.25, 1.0, 2.0, 1e20}) {
            INFO(clip << " " << norm);
            const StepScalars s = clipped(norm * norm, clip);
            CHECK(s.grad_norm == Approx(norm).epsilon(1e-15));
            CHECK(s.grad_scale * norm == Approx(std::min(norm, clip)).epsilon(1e-15));
            CHECK(clipped(norm * norm, 0).grad_scale == 1);
        }
    CHECK(clipped(0, 1).grad_scale == 1);
}

TEST_CASE("a norm that is not finite scales by 0, with a clip and without", "[ops]") {
    for (const double clip : {0.0, 1.0})
        for (const double square : {double{INFINITY}, double{NAN}}) {
            const StepScalars s = clipped(square, clip);
            CHECK(s.grad_scale == 0);
            CHECK_FALSE(std::isfinite(s.grad_norm));
        }
}
