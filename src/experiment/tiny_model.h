// TinyModel: a transformer of a few thousand parameters on random tokens, for checks of a mixer
// inside the model.
#pragma once

#include "model/transformer.h"

#include <memory>

namespace plumb {

// 2 blocks (L = 4), width 12, 2 heads, 10 positions; norm_eps as given.
ModelConfig tiny_config(double norm_eps = 1e-10);

inline constexpr Index kTinyVocab = 11, kTinyBatch = 2;

// Allocated, with tokens and targets of `seed`; every fifth target is -1.
template <class Real>
std::unique_ptr<Transformer<Real>> tiny_model(const MixerConfig& mixer, std::uint64_t seed = 1,
                                              const ModelConfig& model = tiny_config());

// Largest difference of the logits and of each gradient tensor of the shared parameters between two
// models after a forward and backward pass, relative to the largest entry in `b`.
double model_difference(Transformer<double>& a, Transformer<double>& b);

// The same between a model with this mixer and one with the standard residual, both at init and
// with norm_eps 1e-30 (averaged streams are smaller, so a visible epsilon would act differently).
double difference_to_standard(const MixerConfig& mixer);

// Largest change of a logit at a position before t when token t changes, over all t: 0 if causal.
// Throws InternalError if changing a token changes no logit at all.
double causality_error(const MixerConfig& mixer);

// Names of parameters of which no number differs from its initial value after `steps` steps of
// plain gradient descent in double.
std::vector<std::string> unmoved_parameters(const MixerConfig& mixer, int steps = 3);

// Loss and gradients of a perturbed model in float against the same in double, relative to the
// largest entry of each tensor.
double float_error(const MixerConfig& mixer);

}  // namespace plumb
