// What the tables of mixers, sublayers, optimizers and tasks have in common. Their rows have a
// `name`, and `options` of which a config has the values (core/options.h).
#pragma once

#include "core/options.h"
#include "core/text.h"

namespace plumb {

// For the choices of a setting that names a row.
template <class Rows>
Choices row_names(const Rows& rows) {
    Choices names;
    for (const auto& row : rows) names.push_back(row.name);
    return names;
}

// `what`: "mixer", as `plumb list mixers` shows them. Throws UsageError naming the nearest if there
// is none of this name.
template <class Rows>
const auto& find_row(const Rows& rows, const std::string& name, const char* what) {
    for (const auto& row : rows)
        if (row.name == name) return row;
    throw UsageError(fmt::format("unknown {0} '{1}'{2} (`plumb list {0}s` shows all)", what, name,
                                 did_you_mean(name, row_names(rows))));
}

// The options of all rows of a table in its order, each once: what several rows list is one option.
// An option that not every row lists is read only where the field `selector` names one of its rows.
template <class Rows>
std::vector<Option> options_of(const Rows& rows, const std::string& selector) {
    std::vector<Option> all;
    for (const auto& row : rows)
        for (const Option& option : row.options) {
            auto at = std::find_if(all.begin(), all.end(),
                                   [&](const Option& o) { return o.name == option.name; });
            if (at == all.end()) at = all.insert(all.end(), option);
            at->field.only_with.values.push_back(row.name);
        }
    for (Option& option : all) {
        OnlyWith& with = option.field.only_with;
        with.field = selector;
        if (with.values.size() == rows.size()) with = {};
    }
    return all;
}

}  // namespace plumb
