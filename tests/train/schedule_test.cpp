#include "train/schedule.h"

#include "catch.h"

#include <cmath>
#include <numbers>

using namespace plumb;

namespace {

TrainConfig config(const std::string& schedule) {
    TrainConfig c;
    c.schedule = schedule;
    c.steps = 101;
    c.warmup = 10;
    c.lr = 0.02;
    c.min_lr_fraction = 0.25;
    c.decay_fraction = 0.2;
    return c;
}

Approx close(double x) { return Approx(x).epsilon(1e-12); }

}  // namespace

TEST_CASE("warm-up is linear from the first step on", "[train]") {
    for (const char* schedule : {"cosine", "wsd", "constant"}) {
        const TrainConfig c = config(schedule);
        for (long step = 0; step < 10; ++step)
            CHECK(learning_rate(c, step) == close(0.002 * static_cast<double>(step + 1)));
        CHECK(learning_rate(c, 10) == close(0.02));
    }
    TrainConfig none = config("constant");
    none.warmup = 0;
    CHECK(learning_rate(none, 0) == close(0.02));
}

TEST_CASE("cosine falls from lr to min_lr_fraction lr at the last step", "[train]") {
    const TrainConfig c = config("cosine");
    for (long step = 10; step <= 100; ++step) {
        const double x = static_cast<double>(step - 10) / 90;
        CHECK(learning_rate(c, step) ==
              close(0.02 * (0.25 + 0.75 * (1 + std::cos(std::numbers::pi * x)) / 2)));
    }
    CHECK(learning_rate(c, 55) == close(0.02 * 0.625));
    CHECK(learning_rate(c, 100) == close(0.005));
}

TEST_CASE("wsd holds lr and falls linearly at the end", "[train]") {
    TrainConfig c = config("wsd");
    c.steps = 100;  // the last 20 steps decay, 80 the first, 99 the last
    for (long step = 10; step <= 80; ++step) CHECK(learning_rate(c, step) == close(0.02));
    for (long step = 80; step < 100; ++step)
        CHECK(learning_rate(c, step) == close(0.02 - 0.015 * static_cast<double>(step - 80) / 19));
    CHECK(learning_rate(c, 99) == close(0.005));
}

TEST_CASE("constant stays at lr", "[train]") {
    for (long step = 10; step <= 100; ++step)
        CHECK(learning_rate(config("constant"), step) == close(0.02));
}

TEST_CASE("no schedule leaves its range, however short the run", "[train]") {
    for (const char* schedule : {"cosine", "wsd", "constant"})
        for (long steps = 1; steps <= 12; ++steps)
            for (long warmup = 0; warmup <= 14; ++warmup) {
                TrainConfig c = config(schedule);
                c.steps = steps;
                c.warmup = warmup;
                for (long step = 0; step < steps; ++step) {
                    const double lr = learning_rate(c, step);
                    INFO(schedule << " steps " << steps << " warmup " << warmup << " step "
                                  << step);
                    CHECK((lr > 0 && lr <= 0.02));
                }
            }
}
