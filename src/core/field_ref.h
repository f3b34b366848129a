// Fields of configs by their keys, from the visit of each table (core/field.h): read from text,
// printed, checked.
#pragma once

#include "core/field.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plumb {

struct FieldRef {
    std::string key;  // model.layers
    std::variant<long*, double*, bool*, std::string*, Words*> value;
    std::string help;
    Field rule;

    std::string type() const;     // integer, number, boolean, text, list
    std::string text() const;     // the value as TOML text; doubles keep every bit
    std::string allowed() const;  // "at least 1", "0 to 1", "swiglu, gelu", "" for anything
    // The key of the field that says whether this one is read: mixer.name; "": it always is.
    std::string selector() const;
    // Sets the value from what a user typed, without quotes; false if the type does not fit. An
    // integer may be written 1e3; a list is words with commas between, in brackets and quotes or
    // not.
    bool parse(std::string_view typed);
    // Throws UsageError naming `where` (may be empty), key and value if the rule does not allow it.
    void check(const std::string& where = "") const;
};

// Every field of a config, in the order of its visit; refers into `config`.
template <class C>
std::vector<FieldRef> refs_of(const std::string& table, C& config) {
    std::vector<FieldRef> out;
    const auto take = [&](const char* name, auto& value, const char* help, Field rule = {}) {
        out.push_back({table + "." + name, &value, help, std::move(rule)});
    };
    config.visit(take);
    return out;
}

// Throws UsageError for the first field that its rule does not allow.
template <class C>
void check_ranges(const std::string& table, C config) {
    for (const FieldRef& field : refs_of(table, config)) field.check();
}

// nullptr: there is none.
const FieldRef* find_ref(const std::vector<FieldRef>& refs, std::string_view key);

// Why a field is not read: it belongs to other rows of a table than the chosen one.
struct Misplaced {
    std::string selector;             // mixer.name
    std::string chosen;               // standard
    std::vector<std::string> owners;  // hyper, mhc
};
// `refs` has the selector of the field.
std::optional<Misplaced> misplaced(const std::vector<FieldRef>& refs, const FieldRef& field);

// Throws UsageError for a field that is not read and has another value than in `defaults`, the same
// fields in the same order.
void check_placed(const std::vector<FieldRef>& refs, const std::vector<FieldRef>& defaults);

}  // namespace plumb
