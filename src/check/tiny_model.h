// TinyModel: a transformer of a few thousand parameters on random tokens, for checks of a mixer
// inside the model, on a device.
#pragma once

#include "model/transformer.h"

#include <memory>

namespace plumb {

// 2 blocks (L = 4), width 12, 2 heads, 10 positions; norm_eps as given.
ModelConfig tiny_config(double norm_eps = 1e-10);

inline constexpr Index kTinyVocab = 11, kTinyBatch = 2;

// Allocated, with tokens and targets of `seed`; every fifth target is -1.
template <class T>
std::unique_ptr<Transformer<T>> tiny_model(const MixerConfig& mixer, std::uint64_t seed = 1,
                                           const ModelConfig& model = tiny_config(),
                                           Device device = Device::cpu);

// Largest difference of the logits and of each gradient tensor of the shared parameters between two
// models after a forward and backward pass, relative to the largest entry in `b`.
double model_difference(Transformer<double>& a, Transformer<double>& b);

// The same between a model with this mixer and one with the standard residual, both at init and
// with norm_eps 1e-30 (averaged streams are smaller, so a visible epsilon would act differently).
double difference_to_standard(const MixerConfig& mixer, Device device = Device::cpu);

// Largest change of a logit at a position before t when token t changes, over all t: 0 if causal.
// Throws InternalError if changing a token changes no logit at all.
double causality_error(const MixerConfig& mixer, Device device = Device::cpu);

// Names of parameters of which no number differs from its initial value after `steps` steps of
// plain gradient descent in double.
std::vector<std::string> unmoved_parameters(const MixerConfig& mixer, int steps = 3,
                                            Device device = Device::cpu);

// Loss and gradients of a perturbed model in float, or in double on another device, against double
// on the CPU, relative to the largest entry of each tensor.
double float_error(const MixerConfig& mixer, Device device = Device::cpu);
double device_error(const MixerConfig& mixer, Device device);

// Worst |sum_i M[l,i] v_i - h_l| over sum_i |M[l,i] v_i| in a forward of a perturbed model, h_l as
// its norm keeps it, of the first way.
double model_matrix_error(const MixerConfig& mixer, Device device);

// The same in bf16 (weights near a usual initialisation): the worse of the loss, relative, and the
// root mean square difference of all gradients over that of the gradients.
double bf16_error(const MixerConfig& mixer, Device device = Device::cpu);

// A rounding to bf16 changes a number by 0.43 2^-8 of itself in the root mean square. A sublayer of
// the tiny model stores six tensors in it forward (x, xhat, two inside, v, weights) and six
// backward; a gradient sees forward's twice, as the point it is taken at and as a factor: 18
// independent roundings for each of five sites, none amplified.
inline constexpr double kBf16Limit = 0.43 * 9.4868 / 256;  // sqrt(18 * 5)

}  // namespace plumb
