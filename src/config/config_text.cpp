// A Config as TOML, JSON and tables.
#include "config/config_fields.h"
#include "core/check.h"
#include "core/text.h"

#include <algorithm>

namespace plumb {

std::vector<std::pair<std::string, std::string>> values(const Config& config) {
    Config copy = config;
    std::vector<std::pair<std::string, std::string>> out;
    const std::vector<FieldRef> refs = field_refs(copy);
    for (const FieldRef& field : refs)
        if (!misplaced(refs, field)) out.emplace_back(field.key, field.text());
    return out;
}

std::vector<std::pair<std::string, std::string>> chosen_values(const Config& config) {
    auto chosen = values(config);
    std::erase_if(chosen, [](const auto& setting) {
        return setting.second == find_field(setting.first)->default_value;
    });
    return chosen;
}

std::string to_toml(const Config& config) {
    std::string out, table;
    for (const auto& [key, text] : values(config)) {
        const std::size_t dot = key.find('.');
        if (key.substr(0, dot) != table) {
            out += table.empty() ? "" : "\n";
            table = key.substr(0, dot);
            out += "[" + table + "]\n";
        }
        out += key.substr(dot + 1) + " = " + text + "\n";
    }
    return out;
}

nlohmann::ordered_json to_json(const Config& config) {
    Config copy = config;
    nlohmann::ordered_json out;
    const std::vector<FieldRef> refs = field_refs(copy);
    for (const FieldRef& field : refs) {
        if (misplaced(refs, field)) continue;
        const std::size_t dot = field.key.find('.');
        auto& slot = out[field.key.substr(0, dot)][field.key.substr(dot + 1)];
        std::visit([&slot](const auto* value) { slot = *value; }, field.value);
    }
    return out;
}

const std::vector<FieldInfo>& fields() {
    static const std::vector<FieldInfo> all = [] {
        Config defaults;
        std::vector<FieldInfo> out;
        for (const FieldRef& f : field_refs(defaults))
            out.push_back({f.key, f.type(), f.text(), f.help, f.rule.choices, f.allowed(),
                           f.rule.only_with.values, f.selector(), f.rule.changes_numbers,
                           f.rule.kind});
        return out;
    }();
    return all;
}

const FieldInfo* find_field(std::string_view key) {
    const auto found =
        std::ranges::find_if(fields(), [&](const FieldInfo& f) { return f.key == key; });
    return found == fields().end() ? nullptr : &*found;
}

std::string suggest_key(const std::string& key) {
    if (key == "data") return "; did you mean data.path=DIR or data.task=NAME?";
    const auto last = [](const std::string& k) { return k.substr(k.find('.') + 1); };
    std::vector<std::string> of_table, all;  // last parts: of the table typed, of any table
    bool is_table = false;
    std::string one_word = key;  // gate_bias, typed as gate.bias
    std::replace(one_word.begin(), one_word.end(), '.', '_');
    for (const FieldInfo& f : fields()) {
        if (last(f.key) == last(key) || last(f.key) == one_word)
            return fmt::format("; did you mean '{}'?", f.key);
        is_table = is_table || f.key.starts_with(key + ".");
        all.push_back(last(f.key));
        if (f.key == key.substr(0, key.find('.') + 1) + last(f.key))
            of_table.push_back(last(f.key));
    }
    if (is_table)
        return fmt::format("; it is a group of settings, `plumb list settings {}.` shows them",
                           key);
    std::string word = nearest(last(key), of_table);
    if (word.empty()) word = nearest(last(key), all);
    for (const FieldInfo& f : fields())
        if (!word.empty() && last(f.key) == word) return fmt::format("; did you mean '{}'?", f.key);
    return "; `plumb list settings` shows all";
}

}  // namespace plumb
