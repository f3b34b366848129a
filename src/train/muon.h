// Muon (ops/muon.h) for the weight matrices of the body, AdamW for all else: embedding, head,
// gains, and whatever a mixer learns. It keeps one number for each of a matrix, momentum.NAME.
//
// Maps that lie one above another in a weight (queries, keys and values; SwiGLU's gate and value)
// are matrices of their own.
#pragma once

#include "train/optimizer.h"

namespace plumb {

// A matrix from channels to channels: those from or to the vocabulary are AdamW's, as the authors
// of Muon have it.
bool is_matrix_of_body(const ParamSpec& s);

std::vector<Option> muon_options();
// The rows of each of its matrices.
std::vector<Index> matrix_rows(const ParamSpec& s);

std::unique_ptr<Optimizer> make_muon(const OptimizerSetup& setup);

}  // namespace plumb
