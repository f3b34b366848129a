#include "cli/matrix_command.h"

#include "cli/run_folder.h"
#include "core/check.h"
#include "record/safetensors.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>

namespace plumb {
namespace fs = std::filesystem;
using Eigen::MatrixXd;

namespace {

constexpr const char* kExamples = R"(Examples:
  plumb matrix runs/attnres
  plumb matrix runs/attnres --step 500
  plumb matrix runs/mhc --json > mhc.json
)";

// ---- reading -----------------------------------------------------------------------------------

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

MatrixXd matrix_at(const float* data, Index n) {
    return Eigen::Map<const RowMajor>(data, n, n).cast<double>();
}

// Lower triangular and finite, or IoError.
void check_matrix(const MatrixXd& m, const fs::path& path, const std::string& tensor) {
    const MatrixXd above = m.triangularView<Eigen::StrictlyUpper>();
    if (!m.allFinite() || !above.isZero(0))
        throw IoError(fmt::format("{}: tensor {} holds {}", path.string(), tensor,
                                  m.allFinite() ? "reads of later sources" : "NaN or infinity"));
}

}  // namespace

MatrixFile read_matrix_file(const fs::path& path) {
    const auto file = SafetensorsFile::open(path);
    MatrixFile out;
    const auto metadata = file.metadata();
    if (const auto it = metadata.find("mixer"); it != metadata.end()) out.mixer = it->second;
    if (const auto it = metadata.find("step"); it != metadata.end())
        std::from_chars(it->second.data(), it->second.data() + it->second.size(), out.step);

    const auto shape = file.shape("mean");
    if (shape.size() != 2 || shape[0] != shape[1] || shape[0] < 2)
        throw IoError(fmt::format("{}: tensor mean has the shape {}, (L+1, L+1) is expected",
                                  path.string(), shape_text(shape)));
    const Index n = shape[0];
    if (file.shape("std") != shape)
        throw IoError(fmt::format("{}: tensor std has another shape than mean", path.string()));
    out.mean = matrix_at(file.values<float>("mean").data(), n);
    out.std = matrix_at(file.values<float>("std").data(), n);
    check_matrix(out.mean, path, "mean");
    check_matrix(out.std, path, "std");
    if (!file.contains("sample")) return out;

    const auto sample = file.shape("sample");
    if (sample.size() != 3 || sample[1] != n || sample[2] != n)
        throw IoError(
            fmt::format("{}: tensor sample has the shape {}, (tokens, {}, {}) is expected",
                        path.string(), shape_text(sample), n, n));
    const auto numbers = file.values<float>("sample");
    for (Index t = 0; t < sample[0]; ++t) {
        out.sample.push_back(matrix_at(numbers.data() + t * n * n, n));
        check_matrix(out.sample.back(), path, "sample");
    }
    return out;
}

std::optional<TokenRanks> token_ranks(const MatrixFile& file, double tolerance) {
    if (file.sample.empty()) return std::nullopt;
    const auto n = static_cast<std::size_t>(file.mean.rows());
    const auto n_tokens = static_cast<double>(file.sample.size());
    TokenRanks out{std::vector<double>(n), std::vector<double>(n), std::vector<Index>(n)};
    for (const MatrixXd& m : file.sample) {
        const MatrixFigures f = analyse(m, tolerance);
        for (std::size_t r = 0; r < n; ++r) {
            out.mean_rank[r] += static_cast<double>(f.cut_rank[r]) / n_tokens;
            out.mean_effective[r] += f.effective_rank[r] / n_tokens;
            out.max_rank[r] = std::max(out.max_rank[r], f.cut_rank[r]);
        }
        out.mean_max_rank += static_cast<double>(f.max_cut_rank) / n_tokens;
        out.max_max_rank = std::max(out.max_max_rank, f.max_cut_rank);
        out.mean_max_effective += f.max_effective_rank / n_tokens;
    }
    return out;
}

namespace {

// ---- the heat map ------------------------------------------------------------------------------

// How the sources share the columns that a terminal has.
struct Columns {
    Index per_cell;  // sources in one cell; the largest of them is shown
    int cell_width;
};

Columns fit_columns(Index n_sources, int available) {
    if (2 * n_sources <= available) return {1, 2};
    const Index room = std::max(available, 1);
    return {(n_sources + room - 1) / room, 1};
}

// Shades are relative to the row's strongest weight: every row of an average, however long, has
// one.
std::string heat_row(const MatrixXd& m, Index row, const Columns& columns,
                     const Terminal& terminal) {
    const double largest = m.row(row).cwiseAbs().maxCoeff();
    std::string out;
    int used = 0;
    for (Index first = 0; first <= row; first += columns.per_cell) {
        double shown = 0;
        for (Index i = first; i < std::min(first + columns.per_cell, row + 1); ++i)
            if (std::abs(m(row, i)) > std::abs(shown)) shown = m(row, i);
        out += heat_cell(shown, largest, columns.cell_width, terminal);
        used += columns.cell_width;
    }
    const Index cells = (m.cols() + columns.per_cell - 1) / columns.per_cell;
    return out + std::string(static_cast<std::size_t>(cells * columns.cell_width - used), ' ');
}

// Rows of attention and of MLP apart, as in Fig. 8 of arXiv:2603.15031, then the output.
std::string heat_map(const MatrixXd& m, const Terminal& terminal) {
    constexpr int kLabels = 26;  // "  12  " before a row; its sum and strongest weight after it
    const Index n = m.rows();
    const Columns columns = fit_columns(n, terminal.width - kLabels);
    std::string out = fmt::format("Row l: what sublayer l reads from sources 0..{}", n - 1);
    if (columns.per_cell > 1) out += fmt::format(", {} to a cell", columns.per_cell);
    out += "; a full cell is the strongest weight of its row.\nRight: sum of the row, strongest\n";
    const auto rows = [&](const char* title, Index first, Index last) {
        out += fmt::format("{}\n", title);
        for (Index r = first; r < last; r += 2)
            out += fmt::format("{:4}  {}  {:8.3f}  {:8.3f}\n", r + 1,
                               heat_row(m, r, columns, terminal), m.row(r).sum(),
                               m.row(r).cwiseAbs().maxCoeff());
    };
    rows("read by attention", 0, n - 1);
    rows("read by MLP", 1, n - 1);
    rows("read by the output", n - 1, n);
    return out;
}

std::string cut_table(const MatrixFigures& f, const std::optional<TokenRanks>& tokens) {
    std::vector<std::string> titles{">cut", ">rank", ">effective"};
    if (tokens) titles.insert(titles.end(), {">token rank", ">max", ">token effective"});
    Table table(titles);
    for (std::size_t r = 0; r < f.cut_rank.size(); ++r) {
        std::vector<std::string> row{fmt::format("{}", r + 1), fmt::format("{}", f.cut_rank[r]),
                                     fmt::format("{:.2f}", f.effective_rank[r])};
        if (tokens)
            row.insert(row.end(), {fmt::format("{:.2f}", tokens->mean_rank[r]),
                                   fmt::format("{}", tokens->max_rank[r]),
                                   fmt::format("{:.2f}", tokens->mean_effective[r])});
        table.add(row);
    }
    return table.text();
}

}  // namespace

std::string matrix_text(const MatrixFile& file, double tolerance, const Terminal& terminal) {
    const MatrixFigures f = analyse(file.mean, tolerance);
    const auto tokens = token_ranks(file, tolerance);
    const Index n = file.mean.rows();
    std::string out = "Depth-mixing matrix, mean over validation tokens\n\n";
    out += heat_map(file.mean, terminal);
    out += "\nCut r: what sublayers r.. read from sources 0..r-1\n" + cut_table(f, tokens);
    out += "The mean over tokens can have a larger rank than any token's matrix.\n\n";
    out += fmt::format("mixer: {}\nstep: {}\nsublayers: {}\n", file.mixer, file.step, n - 1);
    out += fmt::format("row_sum: {:.4f} to {:.4f}\n", f.row_sums.minCoeff(), f.row_sums.maxCoeff());
    out += fmt::format("gain_max_row: {:.4f}\ngain_spectral: {:.4f}\n", f.max_row_gain,
                       f.spectral_gain);
    // Over the n (n + 1) / 2 entries that can differ from zero.
    out += fmt::format("mean_std: {:.4g}\n", 2 * file.std.sum() / static_cast<double>(n * (n + 1)));
    out +=
        fmt::format("cut_rank: {}\neffective_rank: {:.2f}\n", f.max_cut_rank, f.max_effective_rank);
    if (tokens)
        out += fmt::format(
            "token_cut_rank: mean {:.2f}, max {} of {} tokens\n"
            "token_effective_rank: mean {:.2f}\n",
            tokens->mean_max_rank, tokens->max_max_rank, file.sample.size(),
            tokens->mean_max_effective);
    return out;
}

std::string matrix_json(const MatrixFile& file, double tolerance) {
    const MatrixFigures f = analyse(file.mean, tolerance);
    const auto rows = [](const MatrixXd& m) {
        std::vector<std::vector<double>> out;
        for (Index r = 0; r < m.rows(); ++r) {
            out.emplace_back();
            for (Index i = 0; i < m.cols(); ++i) out.back().push_back(m(r, i));
        }
        return out;
    };
    nlohmann::ordered_json out{
        {"mixer", file.mixer},
        {"step", file.step},
        {"sublayers", file.mean.rows() - 1},
        {"mean", rows(file.mean)},
        {"std", rows(file.std)},
        {"row_sums", std::vector<double>(f.row_sums.begin(), f.row_sums.end())},
        {"gain_max_row", f.max_row_gain},
        {"gain_spectral", f.spectral_gain},
        {"rank_tolerance", tolerance},
        {"cut_rank", f.cut_rank},
        {"max_cut_rank", f.max_cut_rank},
        {"effective_rank", f.effective_rank},
        {"max_effective_rank", f.max_effective_rank}};
    if (const auto tokens = token_ranks(file, tolerance))
        out["tokens"] = {{"n", file.sample.size()},
                         {"mean_cut_rank", tokens->mean_rank},
                         {"max_cut_rank", tokens->max_rank},
                         {"mean_effective_rank", tokens->mean_effective},
                         {"mean_max_cut_rank", tokens->mean_max_rank},
                         {"max_max_cut_rank", tokens->max_max_rank},
                         {"mean_max_effective_rank", tokens->mean_max_effective}};
    return out.dump() + "\n";
}

void add_matrix_command(CLI::App& app) {
    struct Arguments {
        std::string run;
        Index step = -1;
        double tolerance = kRankTolerance;
        bool json = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command =
        app.add_subcommand("matrix", "The depth-mixing matrix of a run: heat map, ranks, gain");
    command->add_option("RUN", args->run, "Folder of a run")->required();
    command->add_option("--step", args->step, "Of this step (default: the newest)")
        ->check(CLI::NonNegativeNumber);
    command
        ->add_option("--tolerance", args->tolerance,
                     "Singular values above tolerance * largest count for a rank")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_flag("--json", args->json, "Print everything as JSON");
    command->footer(kExamples);
    command->callback([args] {
        require_run(args->run, "matrix");
        const MatrixFile file = read_matrix_file(
            find_step_file(args->run, "matrix", args->step,
                           "runs have them when trained with record.probe_every=N, N > 0"));
        fmt::print("{}", args->json ? matrix_json(file, args->tolerance)
                                    : matrix_text(file, args->tolerance, Terminal::of(stdout)));
    });
}

}  // namespace plumb
