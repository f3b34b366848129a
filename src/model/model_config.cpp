#include "model/model_config.h"

#include "core/check.h"
#include "model/sublayers.h"

namespace plumb {

std::vector<OptionValues> ModelConfig::sublayer_tables() {
    std::vector<OptionValues> all;
    for (const SublayerInfo& info : plumb::sublayers()) all.emplace_back(info.options);
    return all;
}

const OptionValues& ModelConfig::of(const std::string& kind) const {
    return tables[static_cast<std::size_t>(&find_sublayer(kind) - plumb::sublayers().data())];
}

ModelConfig ModelConfig::resolved() const {
    ModelConfig m = *this;
    const auto positive = [](const char* key, long value) {
        if (value < 1) throw UsageError(fmt::format("model.{}={}: must be at least 1", key, value));
    };
    positive("layers", m.layers);
    positive("width", m.width);
    positive("heads", m.heads);
    positive("context", m.context);
    if (m.kv_heads == 0) m.kv_heads = m.heads;
    if (m.kv_heads < 0 || m.heads % m.kv_heads != 0)
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
    positive("head_dim", m.head_dim);
    if (m.head_dim % 2 != 0)
        throw UsageError(fmt::format("model.head_dim={}: RoPE needs an even number", m.head_dim));
    if (m.mlp_hidden == 0)
        m.mlp_hidden = m.mlp == "swiglu" ? (8 * m.width / 3 + 7) / 8 * 8 : 4 * m.width;
    positive("mlp_hidden", m.mlp_hidden);
    if (!(m.norm_eps >= 0.0 && m.norm_eps < 1.0))
        throw UsageError(fmt::format("model.norm_eps={}: must lie in [0, 1)", m.norm_eps));
    if (!(m.init_std > 0.0))
        throw UsageError(fmt::format("model.init_std={}: must be positive", m.init_std));
    if (!(m.dropout >= 0.0 && m.dropout < 1.0))
        throw UsageError(fmt::format("model.dropout={}: must lie in [0, 1)", m.dropout));
    if (!(m.rope_base > 1.0))
        throw UsageError(fmt::format("model.rope_base={}: must exceed 1", m.rope_base));
    return m;
}

}  // namespace plumb
