#include "config/config_fields.h"

#include "model/sublayers.h"

#include <algorithm>

namespace plumb {

std::vector<FieldRef> field_refs(Config& config) {
    std::vector<FieldRef> out;
    const auto collect = [&out](const std::string& table, auto& fields) {
        std::ranges::move(refs_of(table, fields), std::back_inserter(out));
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

}  // namespace plumb
