#include "experiment/config_fields.h"

#include "core/check.h"
#include "mixers/mixers.h"
#include "train/tasks.h"

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
    void operator()(const char* name, T& value, const char* help, Choices choices = {}) {
        out.push_back({table + "." + name, &value, help, std::move(choices)});
    }
};

// ---- options that belong to some mixers or tasks only ------------------------------------------

// Names of the rows of mixers() or tasks() that read `option`; none: it belongs to no row.
template <class Info>
std::vector<std::string> owners(const std::vector<Info>& table, const std::string& option) {
    std::vector<std::string> names;
    for (const Info& info : table)
        if (std::find(info.options.begin(), info.options.end(), option) != info.options.end())
            names.push_back(info.name);
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

struct Parser {
    std::string_view typed;
    bool operator()(long* v) const { return parse_all(typed, *v); }
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
};

}  // namespace

std::string FieldRef::type() const {
    constexpr const char* names[] = {"integer", "number", "boolean", "text"};
    return names[value.index()];
}

std::string FieldRef::text() const { return std::visit(Printer{}, value); }

bool FieldRef::parse(std::string_view typed) { return std::visit(Parser{typed}, value); }

std::vector<FieldRef> field_refs(Config& config) {
    std::vector<FieldRef> out;
    const auto collect = [&out](const char* table, auto& fields) {
        Collector collector{table, out};
        fields.visit(collector);
    };
    collect("model", config.model);
    collect("mixer", config.mixer);
    collect("train", config.train);
    collect("data", config.data);
    collect("record", config.record);
    return out;
}

std::optional<Misplaced> misplaced(const Config& config, std::string_view key) {
    const std::string option(key.substr(key.find('.') + 1));
    Misplaced out;
    if (key.starts_with("mixer."))
        out = {"mixer.name", config.mixer.name, owners(mixers(), option)};
    else if (key.starts_with("data."))
        out = {"data.task", config.data.task, owners(tasks(), option)};
    const bool placed = out.owners.empty() || std::find(out.owners.begin(), out.owners.end(),
                                                        out.chosen) != out.owners.end();
    return placed ? std::nullopt : std::optional(out);
}

}  // namespace plumb
