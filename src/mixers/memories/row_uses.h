// What a rule (mixers/rule.h) asks of a running row (running_row.h).
#pragma once

#include "mixers/rule.h"

namespace plumb {

// Throws InternalError for a rule that this memory does not carry.
struct RowUses {
    enum class Dot : std::uint8_t { hh, hq, hv, vv };

    static constexpr Index kNumbers = 8;  // of a site whose a is the token's, at most
    static constexpr Index kDots = 5;     // of it, at most
    static constexpr Index kInputs = kDots + kNumbers;

    explicit RowUses(const Rule& rule);

    std::vector<Dot> u, w;
    Index n_numbers = 0, groups;
    bool unit = false;             // a is the constant 1
    std::vector<ScalarProgram> a;  // dots, numbers -> a (G, 2) of sites l = 1..L

    Index n_u() const { return std::ssize(u); }
    Index n_dots() const { return n_u() + std::ssize(w); }
    Index n_inputs() const { return n_dots() + n_numbers; }
};

}  // namespace plumb
