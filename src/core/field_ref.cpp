#include "core/field_ref.h"

#include "core/check.h"
#include "core/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace plumb {
namespace {

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
        const std::optional<double> number = number_in(typed);
        if (number) *v = *number;
        return number.has_value();
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
        return rule.number_too ? words + " or a number" : words;
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
    const Choices& choices = rule.choices;
    const std::string more =
        rule.kind.empty() ? "" : fmt::format(" (`plumb list {}` says what they are)", rule.kind);
    const auto check_word = [&](const std::string& word) {
        if (choices.empty() || std::find(choices.begin(), choices.end(), word) != choices.end())
            return;
        if (rule.number_too && number_in(word)) return;
        throw UsageError(fmt::format("{}{}='{}' is not one of {}{}{}", place, key, word, allowed(),
                                     did_you_mean(word, choices), more));
    };
    if (const auto* const* word = std::get_if<std::string*>(&value)) return check_word(**word);
    if (const auto* const* words = std::get_if<Words*>(&value)) {
        if ((*words)->empty() && !choices.empty())
            throw UsageError(fmt::format("{}{}=[] names nothing; it takes one or several of {}{}",
                                         place, key, allowed(), more));
        for (const std::string& word : **words) check_word(word);
        return;
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

std::string FieldRef::selector() const {
    const std::string& field = rule.only_with.field;
    return field.empty() ? "" : key.substr(0, key.find('.') + 1) + field;
}

// ---- options of the rows of a table -------------------------------------------------------------

const FieldRef* find_ref(const std::vector<FieldRef>& refs, std::string_view key) {
    const auto found = std::find_if(refs.begin(), refs.end(),
                                    [&](const FieldRef& field) { return field.key == key; });
    return found == refs.end() ? nullptr : &*found;
}

std::optional<Misplaced> misplaced(const std::vector<FieldRef>& refs, const FieldRef& field) {
    const std::vector<std::string>& owners = field.rule.only_with.values;
    if (owners.empty()) return std::nullopt;
    const FieldRef* selector = find_ref(refs, field.selector());
    require(selector != nullptr, [&] { return field.key + " has no selector"; });
    const std::string& chosen = *std::get<std::string*>(selector->value);
    if (std::find(owners.begin(), owners.end(), chosen) != owners.end()) return std::nullopt;
    return Misplaced{selector->key, chosen, owners};
}

void check_placed(const std::vector<FieldRef>& refs, const std::vector<FieldRef>& defaults) {
    for (std::size_t i = 0; i < refs.size(); ++i) {
        const auto wrong = misplaced(refs, refs[i]);
        if (wrong && refs[i].text() != defaults[i].text())
            throw UsageError(fmt::format("{}={} is an option of {}, but {} is '{}'", refs[i].key,
                                         refs[i].text(), fmt::join(wrong->owners, ", "),
                                         wrong->selector, wrong->chosen));
    }
}

}  // namespace plumb
