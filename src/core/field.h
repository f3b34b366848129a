// One visit of each config field gives its TOML key, command-line override, manifest entry, sweep
// key, help page, range, choices, and whether it changes the numbers of a run. A config struct
// lists its fields once:
//
//     template <class V> void visit(V& v) {
//         v("layers", layers, "number of transformer blocks", within(1, 1e5));
//         v("mlp", mlp, "kind of MLP", Choices{"swiglu", "gelu"});
//         v("log_every", log_every, "steps between log lines", at_least(1).keeps_numbers());
//     }
//
// with fields of type long, double, bool, std::string or Words. The help is one full phrase, in
// words that somebody new to the program understands. A number needs a range (a test looks).
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

using Choices = std::vector<std::string>;
using Words = std::vector<std::string>;

// What a number may be. Infinities and NaN are never inside.
struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    bool open_low = false, open_high = false;  // the bound itself is outside

    bool holds(double x) const {
        return std::isfinite(x) && (open_low ? x > low : x >= low) &&
               (open_high ? x < high : x <= high);
    }
    bool limited() const { return std::isfinite(low) || std::isfinite(high); }
};

// The text field of the same table that says whether a field is read, and with which of its values;
// without values it always is.
struct OnlyWith {
    std::string field;
    std::vector<std::string> values;
};

// What a visit says of a field beside its help.
struct Field {
    Choices choices{};            // of a text, or of each word of a list; empty: any
    Range range{};                // of a number
    bool number_too = false;      // a text that may also be a number: -3
    bool changes_numbers = true;  // false: the losses of a run are the same bits for any value
    OnlyWith only_with{};
    std::string kind{};  // choices that are rows of a table: `plumb list KIND` says what they are

    Field() = default;
    Field(Choices c) : choices(std::move(c)) {}
    Field(Range r) : range(r) {}

    Field or_number() const {
        Field copy = *this;
        copy.number_too = true;
        return copy;
    }
    Field rows_of(std::string table) const {
        Field copy = *this;
        copy.kind = std::move(table);
        return copy;
    }
    Field keeps_numbers() const {
        Field copy = *this;
        copy.changes_numbers = false;
        return copy;
    }
};

inline Field at_least(double low) { return Range{.low = low}; }
inline Field above(double low) { return Range{.low = low, .open_low = true}; }
inline Field within(double low, double high) { return Range{.low = low, .high = high}; }
// low <= x < high
inline Field from_to_below(double low, double high) {
    return Range{.low = low, .high = high, .open_high = true};
}
inline Field keeps_numbers() { return Field{}.keeps_numbers(); }

}  // namespace plumb
