// `plumb matrix`: the depth-mixing matrix of a run.
#pragma once

#include "cli/terminal.h"
#include "core/view.h"
#include "matrix/analysis.h"

#include <CLI/CLI.hpp>
#include <Eigen/Dense>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

// Registers the subcommand; its callback prints, and throws IoError or UsageError.
void add_matrix_command(CLI::App& app);

// A file matrix/step_N.safetensors of a run.
struct MatrixFile {
    std::string mixer;  // as the file's metadata say
    Index step = 0;
    Eigen::MatrixXd mean, std;            // (L+1, L+1), over tokens
    std::vector<Eigen::MatrixXd> sample;  // of single tokens; may be none
};
// Throws IoError if the file does not hold square, finite, lower triangular matrices of one size.
MatrixFile read_matrix_file(const std::filesystem::path& path);

// Rank figures over the sampled tokens, (L+1) each, cuts 1..L+1.
struct TokenRanks {
    std::vector<double> mean_rank, mean_effective;
    std::vector<Index> max_rank;
    double mean_max_rank = 0;  // semiseparable rank, mean over tokens
    Index max_max_rank = 0;
    double mean_max_effective = 0;
};
std::optional<TokenRanks> token_ranks(const MatrixFile& file, double tolerance);

// What the command prints.
std::string matrix_text(const MatrixFile& file, double tolerance, const Terminal& terminal);
std::string matrix_json(const MatrixFile& file, double tolerance);

}  // namespace plumb
