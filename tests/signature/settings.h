// What the signature trains: small models, every mixer with its default and its test settings.
#pragma once

#include "check/toy_stack.h"
#include "data/tasks.h"
#include "train/trainer.h"

#include <memory>
#include <string>
#include <vector>

namespace plumb::test {

constexpr long kSignatureSteps = 20;

struct SignatureCase {
    std::string name;  // mhc streams=3
    ModelConfig model;
    MixerConfig mixer;
    TrainConfig train;
    DataConfig data;

    std::unique_ptr<Dataset> open() const { return open_dataset(data, model.context); }
    TransformerShape shape(const Dataset& d) const {
        return {model, mixer, d.vocab(), train.batch, 1};
    }
};

// Two blocks of 32 channels on the Markov task; two micro-batches a step, clipping and decay at
// work, a rate at which constants of the start and the optimizer show within 20 steps.
SignatureCase signature_case(const std::string& name);

// Every mixer; every task, schedule and kind of model with the standard mixer.
std::vector<SignatureCase> mixer_cases();
std::vector<SignatureCase> other_cases();

// Losses of 20 steps: by a loop and an optimizer in double of their own, and by the Trainer in the
// case's precision.
std::vector<double> losses_in_double(const SignatureCase& c);
std::vector<double> losses_of_trainer(const SignatureCase& c);

}  // namespace plumb::test
