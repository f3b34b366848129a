// The validation loss of a model. What is scored is a number of sequences, the same ones whatever
// the model's batch: a pass whose batch reaches beyond them leaves the rest unscored.
#pragma once

#include "core/stop.h"
#include "data/dataset.h"
#include "model/model.h"

#include <functional>

namespace plumb {

struct Evaluation {
    double loss = 0;      // mean over the scored tokens, nats; 0 if there are none, NaN if a read
                          // overflowed its norm (Model::overflowed_read)
    Index tokens = 0;     // scored
    Index sequences = 0;  // looked at
};

// Of the first n_sequences sequences of Dataset::val_batch, at most val_sequences(). Without
// dropout; parameters and gradients stay. Throws Stopped between passes once `stop` is set.
// progress: called after each pass, with the share of the sequences that is done.
Evaluation evaluate(const Context& ctx, Model<float>& model, const Dataset& data, Index n_sequences,
                    const StopFlag* stop = nullptr,
                    const std::function<void(double)>& progress = {});

// Of the whole validation split, every token once.
inline Evaluation evaluate_split(const Context& ctx, Model<float>& model, const Dataset& data,
                                 const StopFlag* stop = nullptr) {
    return evaluate(ctx, model, data, data.val_sequences(), stop);
}

// Fills the model's batch number `pass` of validation sequences and takes those at or beyond
// n_sequences out of the score. Returns the sequences that remain.
Index load_validation(Model<float>& model, const Dataset& data, Index pass, Index n_sequences);

// nats per token -> bits per byte of text. Empty where the data is not text.
std::optional<double> bits_per_byte(const Dataset& data, double loss);

}  // namespace plumb
