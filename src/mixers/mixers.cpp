#include "mixers/mixers.h"

#include "core/text.h"

namespace plumb {
namespace {

#define PLUMB_MAKE(function) function<float>, function<double>, function<Bf16>

std::vector<MixerInfo> make_table() {
    return {
        {"standard",
         "residual connection, He et al. 2016 (arXiv:1512.03385)",
         "h_{l+1} = h_l + v_l",
         {},
         {{}},
         true,
         PLUMB_MAKE(make_standard)},
        {"highway",
         "Highway Networks, Srivastava et al. 2015 (arXiv:1505.00387)",
         "h_{l+1} = (1 - t) h_l + t v_l, t = sigmoid(W norm(h_l) + b)",
         {"gate", "gate_bias", "gate_input"},
         {{}, {"gate=vector"}, {"gate=static"}, {"gate_input=raw"}, {"gate_bias=depth"}},
         true,
         PLUMB_MAKE(make_highway)},
        {"denseformer",
         "DenseFormer, Pagliardini et al. 2024 (arXiv:2402.02622)",
         "Y_k = sum_j alpha[k,j] X_j after every transformer block, alpha learned",
         {"dilation", "period"},
         {{}, {"dilation=2"}, {"period=2"}, {"dilation=2", "period=2"}},
         true,
         PLUMB_MAKE(make_denseformer)},
        {"hyper",
         "Hyper-Connections, Zhu et al. 2024 (arXiv:2409.19606)",
         "K streams: h = A_m^T X, X' = A_r^T X + beta v, weights static or from the token",
         {"streams", "dynamic"},
         {{"streams=3"}, {"streams=2", "dynamic=false"}, {"streams=1"}},
         true,
         PLUMB_MAKE(make_hyper)},
        {"mhc",
         "mHC, Xie et al. 2025 (arXiv:2512.24880)",
         "K streams: h = pre^T X, X' = R^T X + post v, R doubly stochastic by Sinkhorn",
         {"streams", "sinkhorn_iters", "bias_init", "reduction"},
         {{"streams=3"},
          {"streams=2", "reduction=learned", "bias_init=zero"},
          {"streams=4", "reduction=sum", "bias_init=one_hot", "sinkhorn_iters=5"},
          {"streams=1"}},
         false,
         PLUMB_MAKE(make_mhc)},
        {"attnres",
         "Full Attention Residuals, Kimi Team 2026 (arXiv:2603.15031, Eq. 2-4)",
         "h_l = sum_i softmax_i(<w_l, RMSNorm(v_i)>) v_i over all earlier outputs",
         {"key_gain"},
         {{}, {"key_gain=false"}},
         true,
         PLUMB_MAKE(make_attn_res)},
        {"attnres_block",
         "Block Attention Residuals, Kimi Team 2026 (arXiv:2603.15031, Eq. 5-6)",
         "the same over the embedding, sums of completed blocks and the running block's sum",
         {"key_gain", "block_size", "n_blocks"},
         {{"block_size=2"}, {"block_size=4"}, {"n_blocks=2"}, {"block_size=1"}},
         true,
         PLUMB_MAKE(make_attn_res)},
    };
}

#undef PLUMB_MAKE

}  // namespace

const std::vector<MixerInfo>& mixers() {
    static const std::vector<MixerInfo> table = make_table();
    return table;
}

bool starts_as_standard(const MixerInfo& info, const MixerConfig& config) {
    return info.equals_standard_at_init && config.gate_bias == MixerConfig{}.gate_bias;
}

const MixerInfo& find_mixer(const std::string& name) {
    std::vector<std::string> names;
    for (const MixerInfo& m : mixers()) {
        if (m.name == name) return m;
        names.push_back(m.name);
    }
    throw UsageError(fmt::format("unknown mixer '{}'{} (`plumb list mixers` shows all)", name,
                                 did_you_mean(name, names)));
}

template <class T>
MixerPtr<T> make_mixer(const MixerConfig& config, const MixerShape& shape) {
    require(shape.sublayers >= 1 && shape.tokens >= 1 && shape.channels >= 1, "empty mixer shape");
    const MixerInfo& info = find_mixer(config.name);
    if constexpr (std::is_same_v<T, float>)
        return info.make_float(config, shape);
    else if constexpr (std::is_same_v<T, double>)
        return info.make_double(config, shape);
    else
        return info.make_bf16(config, shape);
}

template MixerPtr<float> make_mixer(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_mixer(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_mixer(const MixerConfig&, const MixerShape&);

}  // namespace plumb
