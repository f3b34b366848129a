// The fields of a Config as a list, from the one visit of each table. Internal to config/ and
// sweep/.
#pragma once

#include "config/config.h"

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
    // Sets the value from what a user typed, without quotes; false if the type does not fit. An
    // integer may be written 1e3; a list is words with commas between, in brackets and quotes or
    // not.
    bool parse(std::string_view typed);
    // Throws UsageError naming `where` (may be empty), key and value if the rule does not allow it.
    void check(const std::string& where) const;
};

// Every field of `config`, in the order of the tables; refers into `config`.
std::vector<FieldRef> field_refs(Config& config);

// Mixers, optimizers or tasks that read the option `key`; none: every one does, or it belongs to no
// such table.
std::vector<std::string> option_owners(std::string_view key);
// The setting that names one of them: mixer.name, train.optimizer or data.task; "" without owners.
std::string option_selector(std::string_view key);

// Why an option does not apply to this config: it belongs to other mixers, optimizers or tasks.
struct Misplaced {
    std::string selector;             // mixer.name
    std::string chosen;               // standard
    std::vector<std::string> owners;  // hyper, mhc
};
std::optional<Misplaced> misplaced(const Config& config, std::string_view key);

}  // namespace plumb
