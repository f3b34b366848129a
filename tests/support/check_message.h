// What the program must answer: an exit code and words in its output.
#pragma once

#include "catch.h"
#include "support/run_program.h"

namespace plumb::test {

inline constexpr int kUsage = 2, kInputOutput = 4;

inline void check_message(const Outcome& o, int code, const std::vector<std::string>& mentions) {
    INFO(o.out);
    CHECK(o.code == code);
    for (const std::string& text : mentions) CHECK_THAT(o.out, contains_text(text));
    CHECK(o.out.find("internal error") == std::string::npos);
}

// Runs `plumb ARGS`: its exit code, and what it is to say.
inline void check_answer(const std::vector<std::string>& args, int code,
                         const std::string& mentions) {
    check_message(run_plumb(args), code, {mentions});
}

}  // namespace plumb::test
