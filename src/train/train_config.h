// The [train], [data] and [record] tables of a config.
#pragma once

#include "core/field.h"

namespace plumb {

struct TrainConfig {
    long steps = 1000;
    long batch = 8;
    long accumulate = 1;
    double lr = 1e-3;
    std::string schedule = "cosine";
    long warmup = 100;
    double decay_fraction = 0.2;
    double min_lr_fraction = 0.1;
    double weight_decay = 0.1;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double adam_eps = 1e-8;
    double clip = 1.0;
    long seed = 1;
    long eval_every = 100;
    long eval_batches = 8;
    long log_every = 10;
    long checkpoint_every = 500;
    long keep_checkpoints = 2;
    long patience = 0;
    std::string precision = "fp32";

    template <class V>
    void visit(V& v) {
        v("steps", steps, "optimizer steps");
        v("batch", batch, "sequences per micro-batch");
        v("accumulate", accumulate, "micro-batches per step");
        v("lr", lr, "peak learning rate");
        v("schedule", schedule, "after warm-up", Choices{"cosine", "wsd", "constant"});
        v("warmup", warmup, "steps of linear warm-up");
        v("decay_fraction", decay_fraction, "wsd: fraction of the steps that decay linearly");
        v("min_lr_fraction", min_lr_fraction, "final learning rate / peak");
        v("weight_decay", weight_decay, "on weight matrices only; never on mixer parameters");
        v("beta1", beta1, "AdamW");
        v("beta2", beta2, "AdamW");
        v("adam_eps", adam_eps, "AdamW");
        v("clip", clip, "largest global gradient norm (0: off)");
        v("seed", seed, "initial values and data order");
        v("eval_every", eval_every, "steps between validations");
        v("eval_batches", eval_batches, "validation batches, the same for every run");
        v("log_every", log_every, "steps between lines of metrics.jsonl");
        v("checkpoint_every", checkpoint_every, "steps between checkpoints");
        v("keep_checkpoints", keep_checkpoints, "newest checkpoints kept");
        v("patience", patience, "stop after this many validations without a new best (0: never)");
        v("precision", precision, "bf16: activations and GEMM operands; weights stay float",
          Choices{"fp32", "bf16"});
    }
};

struct DataConfig {
    std::string path;
    std::string task;
    long task_vocab = 32;
    long task_pairs = 8;
    long task_hops = 2;
    long task_modulus = 23;
    long task_order = 1;

    template <class V>
    void visit(V& v) {
        v("path", path, "folder made by `plumb data prepare`, or nanoGPT's train.bin and val.bin");
        v("task", task, "built-in task instead of files; `plumb list tasks`",
          Choices{"", "copy", "mqar", "khop", "modadd", "markov"});
        v("task_vocab", task_vocab, "copy, mqar, khop, markov: symbols");
        v("task_pairs", task_pairs, "mqar: key-value pairs");
        v("task_hops", task_hops, "khop: pointer hops k");
        v("task_modulus", task_modulus, "modadd: modulus p");
        v("task_order", task_order, "markov: order of the chain");
    }
};

struct RecordConfig {
    long probe_every = 100;
    bool tensorboard = true;

    template <class V>
    void visit(V& v) {
        v("probe_every", probe_every, "steps between probes by depth (0: off)");
        v("tensorboard", tensorboard, "also write TensorBoard events");
    }
};

}  // namespace plumb
