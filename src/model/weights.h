// The weights of a transformer by name, shape and initial value: declared here for training and for
// decoding, so that a checkpoint of the one restores the other.
#pragma once

#include "core/params.h"
#include "model/model_config.h"
#include "ops/activation.h"
#include "ops/attention.h"

namespace plumb {

// Configs below are resolved.

template <class Real>
struct AttentionParams {
    Param<Real> qkv, out;        // ((H+2Hkv) D, C), (C, H D)
    Param<Real> gain_q, gain_k;  // (D) with qk_norm, else none
    Param<Real> first_values;    // (1) with attn.value_residual, but of the first attention
};
template <class Real>
struct MlpParams {
    Param<Real> up, down;  // (2F or F, C), (C, F)
};

// prefix: "layer.3.mlp".
template <class Real>
AttentionParams<Real> declare_attention(ParamStore<Real>& params, const std::string& prefix,
                                        const ModelConfig& model);
template <class Real>
MlpParams<Real> declare_mlp(ParamStore<Real>& params, const std::string& prefix,
                            const ModelConfig& model);
// Gain (C) of the norm at a site: "layer.3.mlp", "output"; of one way of it.
template <class Real>
Param<Real> declare_norm(ParamStore<Real>& params, const std::string& site,
                         const ModelConfig& model, int way = 0);
// (V, C): "embed.weight", and "head.weight" where it is not the same.
template <class Real>
Param<Real> declare_table(ParamStore<Real>& params, const std::string& name, Index vocab,
                          const ModelConfig& model);

AttentionShape attention_shape(const ModelConfig& model, Index batch);
// Columns of the up projection, and what is done with them.
Index up_width(const ModelConfig& model);
Activation activation_of(const ModelConfig& model);

}  // namespace plumb
