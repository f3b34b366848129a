#include "cli/sweep_board.h"

#include "catch.h"

using namespace plumb;

namespace {

SweepSnapshot busy_sweep() {
    SweepSnapshot s;
    s.name = "blocks";
    s.counts = {.total = 60, .done = 23, .failed = 1, .running = 2, .queued = 34};
    s.fraction = 0.4;
    s.eta_s = 22 * 60;
    s.best = "1.3967 attnres s1";
    s.running = {{"block4-layers12-s101", 640, 968, 1.52, 4400, "cores 0"},
                 {"standard-layers12-s4", -1, 1000, {}, 0, "cores 1"}};
    s.failed = {{"block4-layers12-s102", "cannot write x/y: No space left on device", "log", 2, 3}};
    return s;
}

std::string joined(const std::vector<std::string>& lines) {
    return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

TEST_CASE("the board of a sweep fits the terminal", "[sweep]") {
    for (const int width : {40, 60, 80, 120, 200}) {
        Terminal terminal;
        terminal.width = width;
        const auto lines = board_lines(busy_sweep(), "blocks.toml", terminal);
        INFO(joined(lines));
        for (const std::string& line : lines) CHECK(display_width(line) < width);
        for (const char* text : {"23/60 done", "2 running", "1 failed", "0 diverged", "34 queued",
                                 "ETA 22m", "best 1.3967 attnres s1", "step 640/968", "loss 1.52",
                                 "4,400 tok/s", "cores 1", "starting", "No space"})
            CHECK_THAT(joined(lines), contains_text(text));
        for (const char* text : {"(attempt 2 of 3)", "plumb sweep status blocks.toml --failed"})
            if (width >= 60) CHECK_THAT(joined(lines), contains_text(text));
    }
}

TEST_CASE("the board of a sweep on one line", "[sweep]") {
    CHECK(board_line(busy_sweep()) ==
          "23/60 done, 2 running, 1 failed, 0 diverged, 34 queued, ETA 22m00s, best 1.3967 attnres "
          "s1");
}

TEST_CASE("names and reasons cannot act on the terminal", "[sweep]") {
    SweepSnapshot s = busy_sweep();
    s.name = s.best = s.running[0].name = s.running[0].where = s.failed[0].why = "a\x1b[2Jb";
    CHECK(joined(board_lines(s, "f", {})).find('\x1b') == std::string::npos);
}
