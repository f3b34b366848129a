#include "model/model_config.h"

#include "core/field_ref.h"
#include "core/row_table.h"
#include "model/sublayers.h"

namespace plumb {

std::vector<OptionValues> ModelConfig::sublayer_tables() {
    std::vector<OptionValues> all;
    for (const SublayerInfo& info : plumb::sublayers()) all.emplace_back(info.options);
    return all;
}

const Choices& ModelConfig::sublayer_kinds() {
    static const Choices kinds = row_names(plumb::sublayers());
    return kinds;
}

const OptionValues& ModelConfig::of(const std::string& kind) const {
    return tables[static_cast<std::size_t>(&find_sublayer(kind) - plumb::sublayers().data())];
}

ModelConfig ModelConfig::resolved() const {
    ModelConfig m = *this;
    check_ranges("model", m);
    if (m.kv_heads == 0) m.kv_heads = m.heads;
    if (m.heads % m.kv_heads != 0)
        throw UsageError(
            fmt::format("model.kv_heads={}: must divide model.heads={}", m.kv_heads, m.heads));
    if (m.head_dim == 0) {
        if (m.width % m.heads != 0)
            throw UsageError(
                fmt::format("model.heads={} does not divide model.width={}; change one of them or "
                            "set model.head_dim",
                            m.heads, m.width));
        m.head_dim = m.width / m.heads;
    }
    if (m.head_dim % 2 != 0)
        throw UsageError(fmt::format("model.head_dim={}: RoPE needs an even number", m.head_dim));
    if (m.mlp_hidden == 0)
        m.mlp_hidden = m.mlp == "swiglu" ? (8 * m.width / 3 + 7) / 8 * 8 : 4 * m.width;
    return m;
}

}  // namespace plumb
