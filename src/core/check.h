// Failing early, with values. Every error that reaches a user is one of these four types; the
// command line maps them to exit codes (cli/exit_code.h): 2 usage, 3 diverged, 4 input/output.
#pragma once

#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace plumb {

// What the user typed or configured cannot work. Exit code 2.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Training produced a NaN, an infinity or a loss beyond the divergence limit. Exit code 3.
struct Diverged : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A file is missing, unreadable, truncated, foreign, or cannot be written. Exit code 4.
struct IoError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A broken promise inside Plumb itself (wrong shape handed to an op, calls out of order).
struct InternalError : std::logic_error {
    using std::logic_error::logic_error;
};

// Throws InternalError naming the call site unless `ok`. For preconditions between our own parts.
// `what`: a text, or a function that makes one, called on failure only; inside a step use a literal
// or a function, which allocate nothing.
template <class What>
void require(bool ok, const What& what, std::source_location at = std::source_location::current()) {
    if (ok) return;
    if constexpr (std::is_invocable_v<const What&>)
        return require(false, what(), at);
    else
        throw InternalError(fmt::format("{}:{}: {}", at.file_name(), at.line(), what));
}

}  // namespace plumb
