// Stored losses, gradients and matrices of an independent PyTorch float64 implementation
// (scripts/oracle), and how far our model is from them.
#pragma once

#include "formats/safetensors.h"
#include "model/transformer.h"

#include <filesystem>
#include <vector>

namespace plumb {

// The *.safetensors files of a folder, sorted; none if there is no such folder.
std::vector<std::filesystem::path> fixture_paths(const std::filesystem::path& folder);

// tests/fixtures under the current folder, or under ../.. of the executable's folder; empty if
// neither is there.
std::filesystem::path find_fixtures();

// Configuration a fixture was made with. Throws IoError for a file that is no fixture.
TransformerShape fixture_shape(const SafetensorsFile& file);

// The fixture's model with its parameters, tokens and targets, in Real. Throws IoError if the
// parameters are not exactly ours.
template <class Real>
std::unique_ptr<Transformer<Real>> fixture_model(const SafetensorsFile& file,
                                                 Device device = Device::cpu);

struct OracleErrors {
    double loss;    // relative
    double matrix;  // M: worst row of a token, relative to the row's largest entry
    // Worst tensor, relative to the largest entry of the same parameter in any layer: the gradient
    // of one gate is a sum whose terms may cancel, and only its terms say what rounding does to it.
    double gradient;
};

// Runs fixture_model.
template <class Real>
OracleErrors oracle_errors(const SafetensorsFile& file, Device device = Device::cpu);

}  // namespace plumb
