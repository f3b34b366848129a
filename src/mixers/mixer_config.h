// The [mixer] table of a config. Options of other mixers than the named one must stay at their
// defaults (the config reader rejects them), so that a run's config says what the run did.
#pragma once

#include "core/field.h"

namespace plumb {

struct MixerConfig {
    std::string name = "standard";
    // highway
    std::string gate = "scalar";
    std::string gate_bias = "depth";
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
        v("name", name, "depth mixer; `plumb list mixers` shows all");
        v("gate", gate, "highway: what a gate is", Choices{"scalar", "vector", "static"});
        v("gate_bias", gate_bias,
          "highway: 'depth' (-log(L-1)), 'uniform' (-log l: starts as the mean) or a number");
        v("gate_input", gate_input, "highway: the gate sees RMSNorm(h) or h",
          Choices{"norm", "raw"});
        v("dilation", dilation, "denseformer: mix every dilation-th block");
        v("period", period, "denseformer: mix after every period-th block");
        v("streams", streams, "hyper, mhc: residual streams");
        v("dynamic", dynamic, "hyper: weights depend on the token");
        v("sinkhorn_iters", sinkhorn_iters, "mhc: Sinkhorn iterations");
        v("bias_init", bias_init, "mhc: initial biases", Choices{"identity", "zero", "one_hot"});
        v("reduction", reduction, "mhc: how streams become one", Choices{"mean", "sum", "learned"});
        v("key_gain", key_gain, "attnres*: learned gain in the key RMSNorm");
        v("block_size", block_size, "attnres_block: sublayers per block (0: from n_blocks)");
        v("n_blocks", n_blocks, "attnres_block: number of blocks (0: 8, unless block_size is set)");
    }
};

}  // namespace plumb
