#include "bench/pass_floor.h"

#include "catch.h"
#include "check/toy_stack.h"

using namespace plumb;

namespace {

// In bf16.
PassFloor floor_of(const char* mixer, int sublayers,
                   const std::vector<std::string>& settings = {}) {
    return pass_floor(mixer_config(mixer, settings), Layout(sublayers), true).value();
}

void check(const PassFloor& floor, double forward, double backward) {
    CHECK(floor.forward == Approx(forward).margin(0.06));
    CHECK(floor.backward == Approx(backward).margin(0.06));
}

}  // namespace

// Counted by hand: rows that have to come and go (v; h read and written, 2 rows of bf16 each; xhat,
// x; backward dx, xhat, dv, dh twice), and those of DepthSchedule at 48 sublayers: 385 and 513 of
// full attention residuals, 245 and 303 of 8 blocks; 13.7 a block both ways of averages
// (averages.h).
TEST_CASE("the fewest rows that passes move are those counted by hand", "[bench]") {
    check(floor_of("standard", 48), 7, 7);
    check(floor_of("highway", 48, {"gate=static"}), 7, 8);
    check(floor_of("attnres", 48), 2 + 385.0 / 48, 2 + 513.0 / 48);
    check(floor_of("attnres", 16), 2 + 5.6, 2 + 7.9);
    check(floor_of("attnres_block", 48, {"n_blocks=8"}), 2 + 245.0 / 48, 2 + 303.0 / 48 + 3);
    check(floor_of("denseformer", 48), 7 + 3.0, 7 + 13.7 / 2 - 3.0);
    check(floor_of("mhc", 48, {"streams=4"}), 11, 16 + 4);
    CHECK(!pass_floor(mixer_config("mudd"), Layout(48), true));
    // In float a row of the running sum is one.
    const PassFloor in_float = pass_floor(mixer_config("standard"), Layout(4), false).value();
    CHECK(in_float.forward == 5);
    CHECK(in_float.backward == 5);
}
