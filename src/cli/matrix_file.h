// A file matrix/step_N.safetensors of a run, read back.
#pragma once

#include "core/view.h"
#include "matrix/analysis.h"

#include <Eigen/Dense>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

// All matrices (L+1, L+1), over tokens: row l-1 is what sublayer l reads, column i is source v_i.
struct MatrixFile {
    std::string mixer;  // as the file's metadata say
    std::string way;    // "q", "k", "v" where sublayers read in several ways; else ""
    Index step = 0;
    Eigen::MatrixXd mean, std;            // of M
    std::vector<Eigen::MatrixXd> sample;  // M of single tokens; may be none
    // Of the share of every source in a read; none in files of schema 1.
    std::optional<Eigen::MatrixXd> share, share_std;
};
// way: 0, or of a file whose sublayers read in several, 1 or 2. Throws IoError if the file does not
// hold square, finite, lower triangular matrices of one size, UsageError if it has no such way.
MatrixFile read_matrix_file(const std::filesystem::path& path, int way = 0);

// Rank figures over the sampled tokens, (L+1) each, cuts 1..L+1.
struct TokenRanks {
    std::vector<double> mean_rank, mean_effective;
    std::vector<Index> max_rank;
    double mean_max_rank = 0;  // semiseparable rank, mean over tokens
    Index max_max_rank = 0;
    double mean_max_effective = 0;
};
std::optional<TokenRanks> token_ranks(const MatrixFile& file, double tolerance);

}  // namespace plumb
