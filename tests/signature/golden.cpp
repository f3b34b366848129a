#include "signature/golden.h"

#include "catch.h"
#include "config/numerics.h"
#include "support/run_program.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace plumb::test {
namespace {

constexpr const char* kFile = "tests/signature.txt";  // tests run in the checkout

using Lines = std::vector<std::pair<std::string, std::string>>;
using Sections = std::vector<std::pair<std::string, Lines>>;

Sections read_file() {
    Sections sections;
    std::istringstream file(slurp(kFile));
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.starts_with('#')) continue;
        if (line.starts_with('[')) {
            sections.emplace_back(line.substr(1, line.size() - 2), Lines{});
            continue;
        }
        const std::size_t colon = line.rfind(": ");
        REQUIRE((!sections.empty() && colon != std::string::npos));
        sections.back().second.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    return sections;
}

Lines& section_of(Sections& sections, const std::string& name) {
    for (auto& [title, lines] : sections)
        if (title == name) return lines;
    return sections.emplace_back(name, Lines{}).second;
}

void write_file(const Sections& sections) {
    std::string text =
        "# What this program computes (tests/signature/golden.h says how it is written and "
        "used).\n";
    for (const auto& [title, lines] : sections) {
        text += fmt::format("\n[{}]\n", title);
        for (const auto& [name, values] : lines) text += fmt::format("{}: {}\n", name, values);
    }
    spill(kFile, text);
}

std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> list;
    std::istringstream stream(text);
    for (std::string word; stream >> word;) list.push_back(word);
    return list;
}

bool same(const std::string& got, const std::string& want, double tolerance) {
    if (got == want) return true;
    if (got.starts_with("0x") || tolerance <= 0) return false;
    const double a = std::stod(got), b = std::stod(want);
    return std::abs(a - b) <= tolerance * std::abs(b);
}

// Sections that a run's losses follow from: what changes in them makes other runs of the same
// settings, which a row of config/numerics.cpp says.
bool is_of_numbers(const std::string& section) {
    constexpr std::array sections{"defaults", "initial values", "losses", "streams"};
    return std::find(sections.begin(), sections.end(), section) != sections.end();
}

bool all_same(const std::string& got, const std::string& want, double tolerance) {
    const auto a = words(got), b = words(want);
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [&](const std::string& x, const std::string& y) {
                                                  return same(x, y, tolerance);
                                              });
}

// The numerics with which a section was written; nothing: none was.
std::optional<long> written_numerics(Sections& sections, const std::string& section) {
    for (const auto& [name, value] : section_of(sections, "numerics"))
        if (name == section) return std::stol(value);
    return std::nullopt;
}

void note_numerics(Sections& sections, const std::string& section) {
    Lines& lines = section_of(sections, "numerics");
    std::erase_if(lines, [&](const auto& line) { return line.first == section; });
    lines.emplace_back(section, std::to_string(newest_numerics()));
    std::sort(lines.begin(), lines.end());
}

}  // namespace

bool Golden::changes(const std::vector<std::pair<std::string, std::string>>& before,
                     double tolerance) const {
    for (const auto& [name, text] : before)
        for (const auto& [own, now] : lines_)
            if (own == name && !all_same(now, text, tolerance)) return true;
    return false;
}

void Golden::add(const std::string& name, const std::vector<double>& values) {
    std::string text;
    for (const double x : values) text += fmt::format("{}{:.14g}", text.empty() ? "" : " ", x);
    lines_.emplace_back(name, text);
}

void Golden::add(const std::string& name, std::uint64_t bits) {
    lines_.emplace_back(name, fmt::format("0x{:016x}", bits));
}

void Golden::check(const std::string& section, double tolerance) const {
    Sections sections = read_file();
    const char* mode = std::getenv("PLUMB_SIGNATURE");
    Lines& golden = section_of(sections, section);
    if (mode && std::string_view(mode) == "write") {
        if (is_of_numbers(section)) {
            if (changes(golden, tolerance) &&
                written_numerics(sections, section) == newest_numerics())
                FAIL("[" << section << "] changes: the same settings would make other runs under "
                         << "the old ids. Mend it, or say of which runs: config/numerics.cpp");
            note_numerics(sections, section);
        }
        section_of(sections, section) = lines_;
        write_file(sections);
        return;
    }
    if (is_of_numbers(section)) CHECK(written_numerics(sections, section) == newest_numerics());
    REQUIRE(golden.size() == lines_.size());
    for (std::size_t i = 0; i < golden.size(); ++i) {
        INFO("[" << section << "] " << golden[i].first << ": " << golden[i].second << "\nnow "
                 << lines_[i].first << ": " << lines_[i].second);
        const auto want = words(golden[i].second), got = words(lines_[i].second);
        CHECK(lines_[i].first == golden[i].first);
        CHECK(got.size() == want.size());
        for (std::size_t k = 0; k < std::min(want.size(), got.size()); ++k)
            CHECK(same(got[k], want[k], tolerance));
    }
}

std::vector<double> golden_numbers(const std::string& section, const std::string& name) {
    Sections sections = read_file();
    for (const auto& [key, values] : section_of(sections, section)) {
        if (key != name) continue;
        std::vector<double> numbers;
        for (const std::string& word : words(values)) numbers.push_back(std::stod(word));
        return numbers;
    }
    FAIL("tests/signature.txt has no line '" << name << "' in [" << section << "]");
    return {};
}

}  // namespace plumb::test
