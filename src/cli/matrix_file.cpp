#include "cli/matrix_file.h"

#include "core/check.h"
#include "core/text.h"
#include "formats/safetensors.h"
#include "mixers/layout.h"
#include "record/measures.h"

#include <algorithm>
#include <charconv>

namespace plumb {
namespace fs = std::filesystem;
using Eigen::MatrixXd;

namespace {

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

MatrixFile read_matrix_file(const fs::path& path, int way) {
    const auto file = SafetensorsFile::open(path);
    MatrixFile out;
    const auto metadata = file.metadata();
    if (const auto it = metadata.find("mixer"); it != metadata.end()) out.mixer = it->second;
    if (const auto it = metadata.find("step"); it != metadata.end())
        std::from_chars(it->second.data(), it->second.data() + it->second.size(), out.step);
    if (file.contains(way_key("mean", 1)))
        out.way = way_name(way);
    else if (way > 0)
        throw UsageError(
            fmt::format("--way {}: {} has one matrix; sublayers of this mixer ({}) read in one way",
                        way_name(way), path.string(), printable_line(out.mixer)));

    const auto key = [&](const char* name) { return way_key(name, way); };
    const auto shape = file.shape(key("mean"));
    if (shape.size() != 2 || shape[0] != shape[1] || shape[0] < 2)
        throw IoError(fmt::format("{}: tensor {} has the shape {}, (L+1, L+1) is expected",
                                  path.string(), key("mean"), shape_text(shape)));
    const Index n = shape[0];
    const auto square = [&](const char* name) {
        if (file.shape(key(name)) != shape)
            throw IoError(
                fmt::format("{}: tensor {} has another shape than mean", path.string(), key(name)));
        MatrixXd m = matrix_at(file.values<float>(key(name)).data(), n);
        check_matrix(m, path, key(name));
        return m;
    };
    out.mean = square("mean");
    out.std = square("std");
    if (file.contains(key("share")) && file.contains(key("share_std"))) {
        out.share = square("share");
        out.share_std = square("share_std");
    }
    if (!file.contains(key("sample"))) return out;

    const auto sample = file.shape(key("sample"));
    if (sample.size() != 3 || sample[1] != n || sample[2] != n)
        throw IoError(fmt::format("{}: tensor {} has the shape {}, (tokens, {}, {}) is expected",
                                  path.string(), key("sample"), shape_text(sample), n, n));
    const auto numbers = file.values<float>(key("sample"));
    for (Index t = 0; t < sample[0]; ++t) {
        out.sample.push_back(matrix_at(numbers.data() + t * n * n, n));
        check_matrix(out.sample.back(), path, key("sample"));
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

}  // namespace plumb
