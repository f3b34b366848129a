// A row's equation is the .cpp of its name; highway's is highway.h, both attnres' attn_res_rule.h,
// both mhc's mhc_family.h. Its memory, which trains it, stands in the last lines of the .cpp.
//
// Its tests, with each of its settings: tests/mixers/reference_test (the rule), gradient_test,
// contract_test (M, causality), identity_test, bf16_test; tests/model/oracle_test (PyTorch),
// initial_values_test, decoder_test. What is special about it: tests/mixers/cut_rank_test and
// the test of its name, if any; of its memory: tests/mixers/memories.
#include "mixers/mixers.h"

#include "core/field_ref.h"
#include "core/row_table.h"

#include <algorithm>

namespace plumb {
namespace {

// In the order of the table: settings and help are listed in it.
std::vector<MixerInfo> gates_averages_and_streams() {
    return {
        {"standard",
         "residual connection, He et al. 2016 (arXiv:1512.03385)",
         "h_{l+1} = h_l + v_l",
         {},
         {{}},
         true,
         standard_mixer()},
        {"highway",
         "Highway Networks, Srivastava et al. 2015 (arXiv:1505.00387)",
         "h_{l+1} = (1 - t) h_l + t v_l, t = sigmoid(W norm(h_l) + b)",
         highway_options(),
         {{}, {"gate=vector"}, {"gate=static"}, {"gate_input=raw"}, {"gate_bias=depth"}},
         true,
         highway_mixer()},
        {"denseformer",
         "DenseFormer, Pagliardini et al. 2024 (arXiv:2402.02622)",
         "Y_k = sum_j alpha[k,j] X_j after every transformer block, alpha learned",
         denseformer_options(),
         {{}, {"dilation=2"}, {"period=2"}, {"dilation=2", "period=2"}},
         true,
         denseformer_mixer()},
        {"hyper",
         "Hyper-Connections, Zhu et al. 2024 (arXiv:2409.19606)",
         "K streams: h = A_m^T X, X' = A_r^T X + beta v, weights static or from the token",
         hyper_options(),
         {{"streams=3"}, {"streams=2", "dynamic=false"}, {"streams=1"}},
         true,
         hyper_mixer()},
        {"mhc",
         "mHC, Xie et al. 2025 (arXiv:2512.24880)",
         "K streams: h = pre^T X, X' = R^T X + post v, R doubly stochastic by Sinkhorn",
         mhc_options(),
         {{"streams=3"},
          {"streams=2", "reduction=learned", "bias_init=zero"},
          {"streams=4", "reduction=sum", "bias_init=one_hot", "sinkhorn_iters=5"},
          {"streams=1"}},
         false,
         mhc_mixer()},
    };
}

std::vector<MixerInfo> attention_over_depth() {
    return {
        {"attnres",
         "Full Attention Residuals, Kimi Team 2026 (arXiv:2603.15031, Eq. 2-4)",
         "h_l = sum_i softmax_i(<w_l, RMSNorm(v_i)>) v_i over all earlier outputs",
         attn_res_options(false),
         {{},
          {"key_gain=false"},
          {"weights=sigmoid"},
          {"weights=sigmoid_norm"},
          {"window=2"},
          {"heads=2"},
          {"heads=2", "head_norm=head"},
          {"key_norm=false"},
          {"query=input"},
          {"query=none"},
          {"query=input", "heads=2", "window=3", "head_norm=head", "weights=sigmoid_norm",
           "key_gain=false"}},
         true,
         attn_res_mixer()},
        {"attnres_block",
         "Block Attention Residuals, Kimi Team 2026 (arXiv:2603.15031, Eq. 5-6)",
         "the same over the embedding, sums of completed blocks and the running block's sum",
         attn_res_options(true),
         {{"block_size=2"},
          {"block_size=4"},
          {"n_blocks=2"},
          {"block_size=1"},
          {"block_size=2", "weights=sigmoid"},
          {"block_size=2", "heads=2"},
          {"block_size=2", "key_norm=false"},
          {"block_size=2", "query=input"},
          {"block_size=2", "query=none"},
          {"block_size=4", "weights=sigmoid_norm"},
          {"block_size=4", "heads=2", "head_norm=head"}},
         true,
         attn_res_mixer()},
    };
}

std::vector<MixerInfo> learned_gains_and_constants() {
    return {
        {"rezero",
         "ReZero, Bachlechner et al. 2020 (arXiv:2003.04887)",
         "h_{l+1} = h_l + a_l v_l, a_l learned, 0 at the start",
         rezero_options(),
         {{}},
         false,
         rezero_mixer()},
        {"layerscale",
         "LayerScale (CaiT), Touvron et al. 2021 (arXiv:2103.17239)",
         "h_{l+1} = h_l + g_l * v_l, a learned gain for each channel",
         layerscale_options(),
         {{}},
         false,
         layerscale_mixer()},
        {"deepnorm",
         "DeepNorm, Wang et al. 2022 (arXiv:2203.00555)",
         "h_{l+1} = RMSNorm(a h_l + v_l), a = (2 layers)^(1/4)",
         deepnorm_options(),
         {{}, {"alpha=2.5"}},
         false,
         deepnorm_mixer()},
        {"static_mix",
         "learned constants over depth (arXiv:2603.15031, Table 4)",
         "h_l = sum_i w[l,i] v_i, w learned numbers or their softmax",
         static_mix_options(),
         {{}, {"weights=raw"}},
         true,
         static_mix_mixer()},
        {"mhc_lite",
         "mHC-lite (arXiv:2601.05732)",
         "as mhc, R a softmax mix of all permutations of the streams",
         mhc_lite_options(),
         {{"streams=3"},
          {"streams=2", "reduction=sum"},
          {"reduction=sum", "bias_init=one_hot"},
          {"streams=1"}},
         false,
         mhc_lite_mixer()},
        {"mudd",
         "MUDDFormer, Xiao et al. 2025 (arXiv:2502.12170)",
         "queries, keys, values and the residual each read their own average of all blocks, by "
         "token",
         mudd_options(),
         {{"hidden=6"}, {"dynamic=false"}},
         true,
         mudd_mixer()},
    };
}

std::vector<MixerInfo> make_table() {
    std::vector<MixerInfo> all = gates_averages_and_streams();
    for (const auto& more : {attention_over_depth(), learned_gains_and_constants()})
        all.insert(all.end(), more.begin(), more.end());
    return all;
}

}  // namespace

const std::vector<MixerOption>& mixer_options() {
    static const std::vector<MixerOption> all = options_of(mixers(), "name");
    return all;
}

const Choices& mixer_names() {
    static const Choices names = row_names(mixers());
    return names;
}

bool MixerInfo::reads(const std::string& option) const {
    return std::any_of(options.begin(), options.end(),
                       [&](const MixerOption& o) { return o.name == option; });
}

const std::vector<MixerInfo>& mixers() {
    static const std::vector<MixerInfo> table = make_table();
    return table;
}

bool starts_as_standard(const MixerInfo& info, const MixerConfig& config) {
    return info.equals_standard_at_init &&
           config.text("gate_bias") == MixerConfig{}.text("gate_bias") &&
           config.integer("window") == 0;
}

const MixerInfo& find_mixer(const std::string& name) { return find_row(mixers(), name, "mixer"); }

namespace {

// The row that is to be made, its options in their ranges.
const MixerInfo& checked_row(const MixerConfig& config, const MixerShape& shape) {
    require(shape.sublayers() >= 1 && shape.tokens >= 1 && shape.channels >= 1,
            "empty mixer shape");
    const MixerInfo& info = find_mixer(config.name);
    check_ranges("mixer", config);
    return info;
}

}  // namespace

RulePtr make_rule(const MixerConfig& config, const MixerShape& shape) {
    return checked_row(config, shape).make.rule(config, shape);
}

template <class T>
MixerPtr<T> make_mixer(const MixerConfig& config, const MixerShape& shape) {
    const MixerInfo& info = checked_row(config, shape);
    if constexpr (std::is_same_v<T, float>)
        return info.make.in_float(config, shape);
    else if constexpr (std::is_same_v<T, double>)
        return info.make.in_double(config, shape);
    else
        return info.make.in_bf16(config, shape);
}

template MixerPtr<float> make_mixer(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_mixer(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_mixer(const MixerConfig&, const MixerShape&);

}  // namespace plumb
