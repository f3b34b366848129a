// The [train] and [seed] tables of a config. What every optimizer reads stands here; the options of
// some stand beside them (optimizer.h).
#pragma once

#include "core/options.h"

#include <cstdint>
#include <string>

namespace plumb {

// Which random streams a run draws from; -1: train.seed.
struct SeedConfig {
    long init = -1;
    long data = -1;
    long dropout = -1;

    template <class V>
    void visit(V& v) {
        v("init", init, "seed of the initial values (-1: train.seed)", at_least(-1));
        v("data", data, "seed of the order of the training data (-1: train.seed)", at_least(-1));
        v("dropout", dropout, "seed of the dropout masks (-1: train.seed)", at_least(-1));
    }
};

// Of the table (optimizer.h).
const std::vector<Option>& optimizer_options();
const Choices& optimizer_names();

struct TrainConfig {
    long steps = 1000;
    long batch = 8;
    long accumulate = 1;
    std::string optimizer = "adamw";
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
    long eval_sequences = 64;
    long log_every = 10;
    long checkpoint_every = 500;
    long keep_checkpoints = 2;
    bool keep_best = true;
    std::string init_from;
    long patience = 0;
    double divergence_limit = 4.0;
    std::string precision = "fp32";
    OptionValues options{optimizer_options()};
    SeedConfig seeds;  // a table of its own, [seed]

    std::uint64_t init_seed() const { return seed_or(seeds.init); }
    std::uint64_t data_seed() const { return seed_or(seeds.data); }
    std::uint64_t dropout_seed() const { return seed_or(seeds.dropout); }

    template <class V>
    void visit(V& v) {
        v("steps", steps, "optimizer steps of the run", within(1, 1e12));
        v("batch", batch, "sequences computed at once (a micro-batch); memory grows with it",
          within(1, 1 << 20));
        v("accumulate", accumulate,
          "micro-batches whose gradients make one step: a step sees batch x accumulate sequences",
          within(1, 1 << 20));
        v("optimizer", optimizer,
          "what makes a step of the gradients; `plumb list optimizers` shows all",
          Field(optimizer_names()).rows_of("optimizers"));
        v("lr", lr, "learning rate at its peak, after the warm-up",
          Range{.low = 0, .high = 1e6, .open_low = true});
        options.visit(v);
        v("schedule", schedule,
          "how the learning rate goes on after the warm-up: cosine to its end, wsd (constant, then "
          "a linear decay) or constant",
          Choices{"cosine", "wsd", "constant"});
        v("warmup", warmup, "steps in which the learning rate rises linearly to its peak",
          within(0, 1e12));
        v("decay_fraction", decay_fraction,
          "with schedule=wsd: the last share of the steps, in which the rate decays", within(0, 1));
        v("min_lr_fraction", min_lr_fraction, "learning rate at the end, as a share of the peak",
          within(0, 1));
        v("weight_decay", weight_decay,
          "decay of weight matrices, times their rate; other parameters, a mixer's too, never "
          "decay",
          within(0, 1e6));
        v("beta1", beta1, "AdamW's memory of the gradient", within(0, 0.999999));
        v("beta2", beta2, "AdamW's memory of the squared gradient", within(0, 0.999999));
        v("adam_eps", adam_eps, "AdamW's epsilon, added to the root of the squared gradient",
          within(1e-30, 1e6));
        v("clip", clip,
          "gradients are scaled down to this global norm if theirs is larger (0: off)",
          within(0, 1e30));
        v("seed", seed,
          "decides initial values, data order and dropout; equal seeds give paired runs ([seed] "
          "sets the three apart)",
          at_least(0));
        v("eval_every", eval_every, "steps between two validations", within(1, 1e12));
        v("eval_sequences", eval_sequences,
          "sequences a validation scores, the same ones for every batch; the end of a run scores "
          "all there are",
          within(1, 1e12));
        v("log_every", log_every, "steps between two lines of metrics.jsonl",
          within(1, 1e12).keeps_numbers());
        v("checkpoint_every", checkpoint_every, "steps between two checkpoints",
          within(1, 1e12).keeps_numbers());
        v("keep_checkpoints", keep_checkpoints, "how many of the newest checkpoints are kept",
          within(1, 1e9).keeps_numbers());
        v("keep_best", keep_best,
          "whether the weights of the best validation are kept too, as checkpoints/best",
          keeps_numbers());
        v("init_from", init_from,
          "run whose weights this one starts from: RUN, RUN@STEP or RUN@best (empty: random ones)");
        v("patience", patience,
          "the run stops after this many validations in a row without a new best (0: never)",
          within(0, 1e9));
        v("precision", precision,
          "bf16 stores activations and multiplies in bf16; weights and sums stay float",
          Choices{"fp32", "bf16"});
        v("divergence_limit", divergence_limit,
          "a loss above this many times ln(vocabulary) ends the run as diverged (0: no limit)",
          within(0, 1e9));
    }

private:
    std::uint64_t seed_or(long own) const {
        return static_cast<std::uint64_t>(own < 0 ? seed : own);
    }
};

}  // namespace plumb
