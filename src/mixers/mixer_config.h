// The [mixer] table of a config. Options of other mixers than the named one must stay at their
// defaults (the config reader rejects them), so that a run's config says what the run did.
#pragma once

#include "core/field.h"

namespace plumb {

struct MixerConfig {
    std::string name = "standard";
    Words freeze;
    double lr_scale = 1.0;
    // highway
    std::string gate = "scalar";
    std::string gate_bias = "uniform";
    std::string gate_input = "norm";
    // denseformer
    long dilation = 1;
    long period = 1;
    // hyper, mhc
    long streams = 4;
    bool dynamic = true;
    long sinkhorn_iters = 20;
    std::string bias_init = "identity";
    std::string reduction = "mean";
    // attnres, attnres_block
    bool key_gain = true;
    long block_size = 0;
    long n_blocks = 0;

    template <class V>
    void visit(V& v) {
        v("name", name,
          "which depth mixer stands in for the residual connection; `plumb list mixers` shows all");
        v("freeze", freeze,
          "kinds of the mixer's parameters that are not trained, as their names end: query, "
          "gate.bias");
        v("lr_scale", lr_scale, "the learning rate of the mixer's parameters is lr_scale times lr",
          within(0, 1e6));
        v("gate", gate,
          "what a gate t is: one number per token, one per channel, or learned without looking at "
          "the token",
          Choices{"scalar", "vector", "static"});
        v("gate_bias", gate_bias,
          "where the gates start: uniform (-log l at sublayer l: as the standard network), depth "
          "(-log(L-1) everywhere) or a number");
        v("gate_input", gate_input, "what the gate looks at: RMSNorm(h) or h itself",
          Choices{"norm", "raw"});
        v("dilation", dilation, "an average takes in every dilation-th earlier block only",
          within(1, 1e6));
        v("period", period, "blocks between two averages", within(1, 1e6));
        v("streams", streams, "number K of parallel residual streams", within(1, 64));
        v("dynamic", dynamic,
          "true: the mixing weights depend on the token; false: they are learned constants");
        v("sinkhorn_iters", sinkhorn_iters,
          "rounds of row and column normalisation that make the transition doubly stochastic",
          within(1, 1e4));
        v("bias_init", bias_init, "where the biases of the three mappings start",
          Choices{"identity", "zero", "one_hot"});
        v("reduction", reduction, "how the K streams become the one that the final norm reads",
          Choices{"mean", "sum", "learned"});
        v("key_gain", key_gain, "whether the RMSNorm of the keys has a learned gain");
        v("block_size", block_size,
          "sublayers whose outputs are summed into one block (0: n_blocks decides)",
          within(0, 1e6));
        v("n_blocks", n_blocks, "number of blocks (0: 8, unless block_size is set)",
          within(0, 1e6));
    }
};

}  // namespace plumb
