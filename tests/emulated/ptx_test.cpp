// What stands for PTX: copies that are late, approximations as bad as the ISA allows.
#include "catch.h"
#include "core/ring.cuh"
#include "emulated/planted.h"

#include <bit>
#include <cmath>
#include <random>

namespace plumb::test {
namespace {

enum class Mistake { none, no_wait, no_commit, waits_for_too_few, reads_early, not_waited_at_end };

// Two copies in groups of their own: y = first + second.
template <Mistake mistake>
__global__ void copy_two(const float* x, float* y) {
    float* shared = static_cast<float*>(dynamic_shared()) + 8 * threadIdx.x;
    copy_later(shared, x, true);
    close_group();
    copy_later(shared + 4, x + 4, true);
    if (mistake != Mistake::no_commit) close_group();
    const float early = mistake == Mistake::reads_early ? shared[0] : 0;
    if (mistake == Mistake::waits_for_too_few)
        wait_for_groups<1>();
    else if (mistake != Mistake::no_wait && mistake != Mistake::not_waited_at_end)
        wait_for_groups<0>();
    y[threadIdx.x] = shared[0] + (mistake == Mistake::not_waited_at_end ? 0 : shared[4]) + early;
}
template <Mistake mistake>
std::string copied(double& y) {
    Buffer<float> x({1, 2, 3, 4, 5, 6, 7, 8}), out(32);
    const std::string text = error_of([&] {
        launch(stream(), "copy_two", copy_two<mistake>, {1, 32, 32 * 32}, x.at(), out.at());
    });
    y = out.get(31, 1)[0];
    return text;
}

__global__ void not_live(const float* x, float* y) {
    float* shared = static_cast<float*>(dynamic_shared());
    copy_later(shared, x, false);
    close_group();
    wait_for_groups<0>();
    for (int i = 0; i < 4; ++i) y[i] = shared[i];
}
__global__ void off_by_four(const float* x, float* y) {
    copy_later(dynamic_shared(), x + 1, true);
    close_group();
    wait_for_groups<0>();
    y[0] = 1;
}
__global__ void not_to_shared(const float* x, float* y) {
    copy_later(y, x, true);
    close_group();
    wait_for_groups<0>();
}

}  // namespace

TEST_CASE("emulated: a copy to shared memory arrives when it is waited for", "[emulated]") {
    double y = 0;
    CHECK(copied<Mistake::none>(y) == "");
    CHECK(y == 6);
    Buffer<float> x(ones(4)), out(4);
    launch(stream(), "not_live", not_live, {1, 1, 16}, x.at(), out.at());
    CHECK(out.get() == std::vector<double>(4, 0.0));
}

TEST_CASE("emulated: copies that nobody waits for", "[emulated]") {
    double y = 0;
    const std::string returned = "before its copies to shared memory had arrived";
    CHECK(copied<Mistake::reads_early>(y) == "");
    CHECK(std::isnan(y));
    for (const std::string& text :
         {copied<Mistake::no_wait>(y), copied<Mistake::no_commit>(y),
          copied<Mistake::waits_for_too_few>(y), copied<Mistake::not_waited_at_end>(y)})
        CHECK_THAT(text, contains_text("copy_two, block (0,0,0), thread (") &&
                             contains_text(returned) && contains_text("ring.cuh:"));
    Buffer<float> x(ones(8)), out(8);
    CHECK_THAT(error_of([&] {
                   launch(stream(), "off_by_four", off_by_four, {1, 1, 16}, x.at(), out.at());
               }),
               contains_text("off_by_four, block (0,0,0), thread (0,0,0)") &&
                   contains_text("no multiples of 16"));
    CHECK_THAT(error_of([&] {
                   launch(stream(), "not_to_shared", not_to_shared, {1, 1, 16}, x.at(), out.at());
               }),
               contains_text("not in shared memory"));
}

// The bounds of the PTX ISA's tables; and that they are nearly reached, so that a kernel which
// stands on more shows.
TEST_CASE("emulated: approximations are off, by what the ISA allows", "[emulated]") {
    std::mt19937 random(5);
    double worst[3] = {};
    for (int i = 0; i < 20000; ++i) {
        const float x = std::ldexp(1 + static_cast<float>(random() >> 9) * 0x1p-23f,
                                   static_cast<int>(random() % 41) - 20);
        const double d = x, z = -d * 0x1p-15;
        const auto off = [](double got, double want) { return std::fabs(got - want) / want; };
        worst[0] = std::max(worst[0], off(emulated::ptx::rcp_approx_ftz(x), 1 / d));
        worst[1] = std::max(worst[1], off(emulated::ptx::rsqrt_approx_ftz(x), 1 / std::sqrt(d)));
        worst[2] = std::max(worst[2], off(emulated::ptx::ex2_approx_ftz(static_cast<float>(z)),
                                          std::exp2(double{static_cast<float>(z)})));
    }
    const double rounding = 0x1p-24, bounds[] = {0x1p-23, 0x1.12p-23, 0x1p-22};
    for (int k = 0; k < 3; ++k) {
        CHECK(worst[k] <= bounds[k] + rounding);
        CHECK(worst[k] > 0.9 * bounds[k]);
    }
    CHECK(emulated::ptx::ex2_approx_ftz(-INFINITY) == 0);
    CHECK(emulated::ptx::ex2_approx_ftz(-140) == 0);  // subnormal
    CHECK(std::isinf(emulated::ptx::rcp_approx_ftz(0x1p-130f)));
}

}  // namespace plumb::test
