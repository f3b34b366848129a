#include "ops/step_scalars.h"

#include "catch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

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

TEST_CASE("a step's loss is the mean of its micro-batches', one after another", "[ops]") {
    StepScalars s{.loss = 9, .bad_batch = 9, .bad_loss = 9, .grad_square = 9};
    const double losses[] = {1.5, 2.25, 4};
    const double none = 0;
    for (long a = 0; a < 3; ++a)
        count_loss({}, {a, 3, 4.0}, host_scalar(losses[a]), host_scalar(none), {&s, {{'S', 1}}});
    CHECK(s.loss == 1.5 / 3 + 2.25 / 3 + 4.0 / 3);
    CHECK(s.bad_batch == 0);
    s.grad_square = 4;
    clip_factor({}, 0.5, {&s, {{'S', 1}}});
    CHECK(s.grad_scale == 0.25);
}

TEST_CASE("the first micro-batch of no use is remembered, and nothing is scaled by it", "[ops]") {
    struct Bad {
        double loss, overflow;
    };
    for (const Bad& bad : {Bad{NAN, 0}, Bad{INFINITY, 0}, Bad{4.5, 0}, Bad{2, 7}})
        for (const long first : {0, 1, 2}) {
            INFO(bad.loss << " " << bad.overflow << " at " << first);
            StepScalars s;
            for (long a = 0; a < 4; ++a) {
                const double loss = a == first ? bad.loss : a > first ? NAN : 3;
                const double overflow = a == first ? bad.overflow : 0;
                count_loss({}, {a, 4, 4.0}, host_scalar(loss), host_scalar(overflow),
                           {&s, {{'S', 1}}});
            }
            CHECK(s.bad_batch == static_cast<double>(first + 1));
            CHECK(std::memcmp(&s.bad_loss, &bad.loss, sizeof(double)) == 0);
            s.grad_square = 1;
            clip_factor({}, 0.5, {&s, {{'S', 1}}});
            CHECK(s.grad_scale == 0);
            CHECK(s.grad_norm == 1);
        }
}

TEST_CASE("a norm that is not finite scales by 0, with a clip and without", "[ops]") {
    for (const double clip : {0.0, 1.0})
        for (const double square : {double{INFINITY}, double{NAN}}) {
            const StepScalars s = clipped(square, clip);
            CHECK(s.grad_scale == 0);
            CHECK_FALSE(std::isfinite(s.grad_norm));
        }
}
