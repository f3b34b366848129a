// tests/signature.txt: what this program computes, written down. A change that alters a training
// run's numbers alters a line of it, and the commit says which and why.
//
//     PLUMB_SIGNATURE=write build/release/plumb_tests '[signature]'      writes it anew
//
// Where settings that were there before get other numbers (losses, initial values, random streams,
// defaults), writing fails until a row of config/numerics.cpp says which: a run is known by its
// settings and by their numerics. [numerics]: the newest row when a section was written.
//
// A section a test; a line `name: value value ...`. Values in hexadecimal are compared as they are,
// others as numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumb::test {

class Golden {
public:
    void add(const std::string& name, const std::vector<double>& values);
    void add(const std::string& name, std::uint64_t bits);
    void add_text(const std::string& name, std::string text) { lines_.emplace_back(name, text); }

    // Whether the section of that name holds these lines, numbers within `tolerance` of themselves
    // relative; checks every line. Or writes the section.
    void check(const std::string& section, double tolerance) const;

    // Whether a line of `before` has another value here; new lines and lines that are gone do not
    // count.
    bool changes(const std::vector<std::pair<std::string, std::string>>& before,
                 double tolerance) const;

private:
    std::vector<std::pair<std::string, std::string>> lines_;
};

// The numbers of a line as they are written down.
std::vector<double> golden_numbers(const std::string& section, const std::string& name);

}  // namespace plumb::test
