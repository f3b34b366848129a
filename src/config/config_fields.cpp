#include "config/config_fields.h"

#include "core/check.h"
#include "core/text.h"
#include "data/tasks.h"
#include "mixers/mixers.h"
#include "model/sublayers.h"
#include "train/optimizer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace plumb {
namespace {

// ---- one visit -------------------------------------------------------------------------------

struct Collector {
    std::string table;
    std::vector<FieldRef>& out;

    template <class T>
    void operator()(const char* name, T& value, const char* help, Field rule = {}) {
        out.push_back({table + "." + name, &value, help, std::move(rule)});
    }
};

// ---- options that belong to some mixers, tasks or optimizers only ------------------------------

bool reads(const MixerInfo& info, const std::string& option) { return info.reads(option); }
template <class Info>
bool reads(const Info& info, const std::string& option) {
    return std::find(info.options.begin(), info.options.end(), option) != info.options.end();
}

// Names of the rows of a table that read `option`; none: it belongs to no row.
template <class Info>
std::vector<std::string> owners(const std::vector<Info>& table, const std::string& option) {
    std::vector<std::string> names;
    for (const Info& info : table)
        if (reads(info, option)) names.push_back(info.name);
    return names;
}

// ---- values as text ----------------------------------------------------------------------------

std::string quoted(const std::string& s) {
    std::string out = "\"";
    for (const char c : s) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string number_text(double x) {
    std::string s = fmt::format("{}", x);
    // TOML tells 1 from 1.0.
    if (s.find_first_not_of("-0123456789") == std::string::npos) s += ".0";
    return s;
}

// All of `typed`, as charconv reads it.
template <class T>
bool parse_all(std::string_view typed, T& out) {
    T value{};
    const auto [end, error] = std::from_chars(typed.data(), typed.data() + typed.size(), value);
    if (error != std::errc{} || end != typed.data() + typed.size()) return false;
    out = value;
    return true;
}

// Without blanks and, if both are there, the characters `open` and `close` around it.
std::string_view stripped(std::string_view s, char open, char close) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t begin = std::min(s.find_first_not_of(kBlank), s.size());
    s = s.substr(begin, s.find_last_not_of(kBlank) + 1 - begin);
    return s.size() >= 2 && s.front() == open && s.back() == close ? s.substr(1, s.size() - 2) : s;
}

// query  |  query,key_gain  |  ["query", 'key_gain']  |  []; false for an empty word.
bool parse_words(std::string_view typed, Words& out) {
    Words words;
    std::string_view rest = stripped(typed, '[', ']');
    for (bool more = !stripped(rest, ' ', ' ').empty(); more;) {
        const std::size_t comma = rest.find(',');
        const std::string_view word =
            stripped(stripped(rest.substr(0, comma), '"', '"'), '\'', '\'');
        if (word.empty()) return false;
        words.emplace_back(word);
        more = comma != rest.npos;
        if (more) rest = rest.substr(comma + 1);
    }
    out = std::move(words);
    return true;
}

struct Parser {
    std::string_view typed;
    bool operator()(Words* v) const { return parse_words(typed, *v); }
    bool operator()(long* v) const {
        if (parse_all(typed, *v)) return true;
        double value = 0;  // 1e3; beyond 2^53 not every integer is a double
        if (!parse_all(typed, value) || value != std::trunc(value) || std::abs(value) > 0x1p53)
            return false;
        *v = static_cast<long>(value);
        return true;
    }
    bool operator()(double* v) const {
        double value = 0;
        if (!parse_all(typed, value) || !std::isfinite(value)) return false;
        *v = value;
        return true;
    }
    bool operator()(bool* v) const {
        if (typed != "true" && typed != "false") return false;
        *v = typed == "true";
        return true;
    }
    bool operator()(std::string* v) const {
        *v = typed;
        return true;
    }
};

struct Printer {
    std::string operator()(const long* v) const { return fmt::format("{}", *v); }
    std::string operator()(const double* v) const { return number_text(*v); }
    std::string operator()(const bool* v) const { return *v ? "true" : "false"; }
    std::string operator()(const std::string* v) const { return quoted(*v); }
    std::string operator()(const Words* v) const {
        std::vector<std::string> words;
        for (const std::string& word : *v) words.push_back(quoted(word));
        return fmt::format("[{}]", fmt::join(words, ", "));
    }
};

}  // namespace

std::string FieldRef::type() const {
    constexpr const char* names[] = {"integer", "number", "boolean", "text", "list"};
    return names[value.index()];
}

std::string FieldRef::text() const { return std::visit(Printer{}, value); }

bool FieldRef::parse(std::string_view typed) { return std::visit(Parser{typed}, value); }

std::string FieldRef::allowed() const {
    if (!rule.choices.empty()) {
        std::string words;
        for (const std::string& c : rule.choices)
            words += (words.empty() ? "" : ", ") + (c.empty() ? "\"\"" : c);
        return words;
    }
    const Range& r = rule.range;
    const bool lowest = std::isfinite(r.low), highest = std::isfinite(r.high);
    if (lowest && highest && !r.open_low && !r.open_high)
        return fmt::format("{} to {}", r.low, r.high);
    std::string text;
    if (lowest) text = fmt::format("{} {}", r.open_low ? "above" : "at least", r.low);
    if (highest)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", r.open_high ? "below" : "at most",
                            r.high);
    return text;
}

void FieldRef::check(const std::string& where) const {
    const std::string place = where.empty() ? "" : where + ": ";
    if (const auto* const* word = std::get_if<std::string*>(&value)) {
        const Choices& c = rule.choices;
        if (c.empty() || std::find(c.begin(), c.end(), **word) != c.end()) return;
        throw UsageError(fmt::format("{}{}='{}' is not one of {}{}", place, key, **word, allowed(),
                                     did_you_mean(**word, c)));
    }
    double number = 0;
    if (const auto* const* n = std::get_if<long*>(&value))
        number = static_cast<double>(**n);
    else if (const auto* const* x = std::get_if<double*>(&value))
        number = **x;
    else
        return;
    if (!rule.range.holds(number))
        throw UsageError(
            fmt::format("{}{}={} is out of range; it must be {}", place, key, text(), allowed()));
}

std::vector<FieldRef> field_refs(Config& config) {
    std::vector<FieldRef> out;
    const auto collect = [&out](const std::string& table, auto& fields) {
        Collector collector{table, out};
        fields.visit(collector);
    };
    collect("model", config.model);
    for (std::size_t i = 0; i < sublayers().size(); ++i)
        collect(sublayers()[i].name, config.model.tables[i]);
    collect("mixer", config.mixer);
    collect("train", config.train);
    collect("seed", config.train.seeds);
    collect("data", config.data);
    collect("record", config.record);
    return out;
}

bool is_model_key(std::string_view key) {
    const std::string_view table = key.substr(0, key.find('.'));
    const auto of_table = [&](const SublayerInfo& s) { return s.name == table; };
    return table == "model" || std::any_of(sublayers().begin(), sublayers().end(), of_table);
}

std::vector<std::string> option_owners(std::string_view key) {
    const std::string option(key.substr(key.find('.') + 1));
    if (key.starts_with("mixer.")) return owners(mixers(), option);
    if (key.starts_with("train.")) return owners(optimizers(), option);
    if (key.starts_with("data.")) return owners(tasks(), option);
    return {};
}

namespace {

// Of the table that `key` is in.
const char* selector_of(std::string_view key) {
    if (key.starts_with("mixer.")) return "mixer.name";
    return key.starts_with("train.") ? "train.optimizer" : "data.task";
}

const std::string& chosen_by(std::string_view key, const Config& config) {
    if (key.starts_with("mixer.")) return config.mixer.name;
    return key.starts_with("train.") ? config.train.optimizer : config.data.task;
}

}  // namespace

std::string option_selector(std::string_view key) {
    return option_owners(key).empty() ? "" : selector_of(key);
}

std::optional<Misplaced> misplaced(const Config& config, std::string_view key) {
    Misplaced out{selector_of(key), chosen_by(key, config), option_owners(key)};
    const bool placed = out.owners.empty() || std::find(out.owners.begin(), out.owners.end(),
                                                        out.chosen) != out.owners.end();
    return placed ? std::nullopt : std::optional(out);
}

}  // namespace plumb
