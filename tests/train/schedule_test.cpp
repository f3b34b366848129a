#include "train/schedule.h"

#include "catch.h"

#include <cmath>
#include <fstream>
#include <numbers>
#include <sstream>
#include <vector>

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

TEST_CASE("wsd: no decay, and one that reaches into the warm-up", "[train]") {
    TrainConfig c = config("wsd");
    c.steps = 40;
    c.decay_fraction = 0;
    for (long step = 10; step < 40; ++step) CHECK(learning_rate(c, step) == close(0.02));
    c.decay_fraction = 1;  // 30 steps remain
    CHECK(learning_rate(c, 9) == close(0.02));
    for (long step = 10; step < 40; ++step)
        CHECK(learning_rate(c, step) == close(0.02 - 0.015 * static_cast<double>(step - 10) / 29));
    c.decay_fraction = 1e-9;  // less than a step: the last one
    CHECK(learning_rate(c, 38) == close(0.02));
    CHECK(learning_rate(c, 39) == close(0.005));
}

// The rows of the table in train/schedule.h.
std::vector<std::vector<double>> documented_rates() {
    std::ifstream header("src/train/schedule.h");
    std::vector<std::vector<double>> rows;
    for (std::string line; std::getline(header, line);) {
        std::istringstream text(line.substr(0, 2) == "//" ? line.substr(2) : "");
        std::vector<double> row;
        for (double x = 0; text >> x;) row.push_back(x);
        if (row.size() == 5 && text.eof()) rows.push_back(row);
    }
    return rows;
}

TEST_CASE("the documented rates are ours, nanoGPT's and Hugging Face's", "[train]") {
    TrainConfig c = config("cosine"), wsd = config("wsd");
    c.lr = wsd.lr = 1;
    c.steps = wsd.steps = 10;
    c.warmup = wsd.warmup = 3;
    c.min_lr_fraction = wsd.min_lr_fraction = 0.1;
    wsd.decay_fraction = 0.4;
    const auto half_cosine = [](double x) { return 0.5 * (1 + std::cos(std::numbers::pi * x)); };
    const auto rows = documented_rates();
    REQUIRE(rows.size() == 10);
    for (long step = 0; step < 10; ++step) {
        INFO("step " << step);
        const auto s = static_cast<double>(step);
        const double nanogpt = step < 3 ? (s + 1) / (3 + 1) : 0.1 + 0.9 * half_cosine((s - 3) / 7);
        const double hugging_face = step < 3 ? s / 3 : half_cosine((s - 3) / 7);
        const double want[] = {s, learning_rate(c, step), nanogpt, hugging_face,
                               learning_rate(wsd, step)};
        for (std::size_t k = 0; k < 5; ++k)
            CHECK(std::abs(rows[static_cast<std::size_t>(step)][k] - want[k]) <= 0.5001e-4);
    }
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
