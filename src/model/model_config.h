// The [model] table of a config.
#pragma once

#include "core/field.h"

namespace plumb {

struct ModelConfig {
    long layers = 4;
    long width = 128;
    long heads = 4;
    long kv_heads = 0;
    long head_dim = 0;
    std::string mlp = "swiglu";
    long mlp_hidden = 0;
    long context = 128;
    bool tied_head = true;
    bool qk_norm = false;
    double rope_base = 10000.0;
    double norm_eps = 1e-10;
    double init_std = 0.02;
    bool scale_output_init = true;
    double dropout = 0.0;

    template <class V>
    void visit(V& v) {
        v("layers", layers, "transformer blocks; each is two sublayers, attention and MLP");
        v("width", width, "channels C");
        v("heads", heads, "query heads");
        v("kv_heads", kv_heads, "key/value heads (0: as many as heads)");
        v("head_dim", head_dim, "channels per head (0: width / heads)");
        v("mlp", mlp, "kind of MLP", Choices{"swiglu", "gelu"});
        v("mlp_hidden", mlp_hidden,
          "MLP width (0: 8/3 width, up to a multiple of 8; gelu: 4 width)");
        v("context", context, "sequence length T");
        v("tied_head", tied_head, "the output head is the embedding");
        v("qk_norm", qk_norm, "RMSNorm over each query and key head");
        v("rope_base", rope_base, "RoPE base");
        v("norm_eps", norm_eps, "epsilon of every norm; large ones damp averaged streams");
        v("init_std", init_std, "standard deviation of initial weights");
        v("scale_output_init", scale_output_init,
          "output projections start 1/sqrt(2 layers) smaller");
        v("dropout", dropout, "in training: embedding, attention weights, sublayer outputs");
    }

    // The zeros above resolved, and every extent checked. Throws UsageError naming the key.
    ModelConfig resolved() const;
    long sublayers() const { return 2 * layers; }
};

}  // namespace plumb
