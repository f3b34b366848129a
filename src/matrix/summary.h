// M of a batch: mean and standard deviation over tokens, and M of a few tokens.
#pragma once

#include "mixers/depth_mixer.h"

#include <vector>

namespace plumb {

// All (L+1, L+1): row l-1 is what sublayer l (or, last, the final norm) reads, column i = 0..L.
struct MatrixSummary {
    Index rows = 0;
    std::vector<float> mean, std;  // over tokens, and over channels where each has its own M
    std::vector<float> sample;     // (n_sample, L+1, L+1), tokens spread evenly over the batch
    Index n_sample = 0;
};

// Of the mixer's last forward. Double sums; one token at a time, so no large tensor is made.
template <class Real>
MatrixSummary summarise_matrix(const DepthMatrix<Real>& mixer, Index n_sample);

}  // namespace plumb
