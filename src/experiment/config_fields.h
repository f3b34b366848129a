// The fields of a Config as a list, from the one visit of each table. Internal to experiment/.
#pragma once

#include "experiment/config.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plumb {

struct FieldRef {
    std::string key;  // model.layers
    std::variant<long*, double*, bool*, std::string*> value;
    std::string help;
    Choices choices;

    std::string type() const;  // integer, number, boolean, text
    std::string text() const;  // the value as TOML text; doubles keep every bit
    // Sets the value from what a user typed, without quotes; false if the type does not fit.
    bool parse(std::string_view typed);
};

// Every field of `config`, in the order of the tables; refers into `config`.
std::vector<FieldRef> field_refs(Config& config);

// Why an option does not apply to this config: it belongs to other mixers or tasks.
struct Misplaced {
    std::string selector;             // mixer.name
    std::string chosen;               // standard
    std::vector<std::string> owners;  // hyper, mhc
};
std::optional<Misplaced> misplaced(const Config& config, std::string_view key);

}  // namespace plumb
