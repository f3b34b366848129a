#include "cli/matrix_text.h"

#include "core/text.h"
#include "model/sublayers.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace plumb {
using Eigen::MatrixXd;

namespace {

// ---- the heat map ------------------------------------------------------------------------------

constexpr int kLabel = 6;  // "  12  " before a row

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

// Shades are relative to the row's largest entry: every row of an average, however long, has one.
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

// Numbers of the sources above their cells, as many as fit without touching.
std::string ruler(Index n_sources, const Columns& columns) {
    std::string out(kLabel, ' ');
    const Index cells = (n_sources + columns.per_cell - 1) / columns.per_cell;
    for (Index cell = 0; cell < cells; ++cell) {
        const auto at = static_cast<std::size_t>(kLabel + cell * columns.cell_width);
        const std::string number = std::to_string(cell * columns.per_cell);
        if (cell > 0 && (at < out.size() + 1 || cell % 5 != 0)) continue;
        out.resize(at, ' ');
        out += number;
    }
    return out + "\n";
}

// Sources of a row, the largest first; of those not 0.
std::vector<Index> by_size(const MatrixXd& m, Index row) {
    std::vector<Index> order;
    for (Index i = 0; i <= row; ++i)
        if (m(row, i) != 0) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](Index a, Index b) { return std::abs(m(row, a)) > std::abs(m(row, b)); });
    return order;
}

// "11 42%, 0 31%" of shares, "11 0.420, 0 0.310" of weights.
std::string most_from(const MatrixXd& m, Index row, int top, bool shares) {
    std::string out;
    const std::vector<Index> order = by_size(m, row);
    for (std::size_t k = 0; k < std::min(order.size(), static_cast<std::size_t>(top)); ++k)
        out += fmt::format("{}{} {}", k > 0 ? ", " : "", order[k],
                           shares ? fmt::format("{:.0f}%", 100 * m(row, order[k]))
                                  : fmt::format("{:.3f}", m(row, order[k])));
    return out;
}

std::string wrapped(const std::string& text, const Terminal& terminal) {
    std::string out;
    for (const std::string& line : wrap(text, terminal.width)) out += line + "\n";
    return out;
}

// What the shades of heat_cell say; not to be wrapped, as a coloured cell is a blank.
std::string heat_legend(bool has_negative, bool shares, const Terminal& terminal) {
    const char* what = shares ? "share" : "weight";
    std::string out;
    for (const double at : {0.0, 0.25, 0.5, 0.75, 1.0}) out += heat_cell(at, 1, 1, terminal);
    out += fmt::format("  from none to the largest {} of the row\n", what);
    if (!has_negative) return out;
    return out + fmt::format("{}     a negative {}\n", heat_cell(-1, 1, 2, terminal), what);
}

// Rows of each kind of sublayer apart, as in Fig. 8 of arXiv:2603.15031, then the output.
std::string heat_map(const MatrixXd& m, const Layout& layout, bool shares, int top,
                     const Terminal& terminal) {
    const Index n = m.rows();
    if (terminal.width < 60) top = std::min(top, 1);
    const int most = top * (shares ? 8 : 10);  // "12 -34%, ", "12 -0.345, "
    const Columns columns = fit_columns(n, terminal.width - kLabel - 2 - most);
    std::string about = fmt::format("Row l: what sublayer l reads from sources 0..{}", n - 1);
    if (columns.per_cell > 1)
        about += fmt::format(", {} to a cell (the largest shows)", columns.per_cell);
    std::string out = wrapped(about + ". Right: what it reads most from.", terminal);
    out += heat_legend(m.minCoeff() < 0, shares, terminal) + ruler(n, columns);
    const auto rows = [&](const std::string& kind, const std::string& title) {
        std::string those;
        for (Index r = 0; r < n; ++r) {
            if (layout.kind(static_cast<int>(r) + 1) != kind) continue;
            const std::string named = most_from(m, r, top, shares);
            those += fmt::format("{:4}  {}{}{}\n", r + 1, heat_row(m, r, columns, terminal),
                                 named.empty() ? "" : "  ", named);
        }
        if (!those.empty()) out += fmt::format("read by {}\n{}", title, those);
    };
    for (const SublayerInfo& s : sublayers()) rows(s.name, s.title);
    rows("output", "the output");
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

std::string matrix_text(const MatrixFile& file, const Layout& layout, const MatrixView& view,
                        const Terminal& terminal) {
    const MatrixFigures f = analyse(file.mean, view.tolerance);
    const auto tokens = token_ranks(file, view.tolerance);
    const Index n = file.mean.rows();
    const bool shares = file.share && !view.weights;
    std::string out = wrapped(
        shares ? "Share of every source in every read, mean over validation tokens; rows sum to "
                 "100%"
               : "Depth-mixing matrix M, mean over validation tokens (its scale is of this mixer "
                 "only)",
        terminal);
    out += "\n";
    out += heat_map(shares ? *file.share : file.mean, layout, shares, view.top, terminal);
    out += "\nCut r of M: what sublayers r.. read from sources 0..r-1\n" + cut_table(f, tokens);
    out +=
        wrapped("The mean over tokens can have a larger rank than any token's matrix.", terminal);
    out += "\n";
    out += fmt::format("mixer: {}\nstep: {}\nsublayers: {}\n", printable_line(file.mixer),
                       file.step, n - 1);
    if (!file.way.empty()) out += fmt::format("way: {} (--way q, k or v)\n", file.way);
    out += fmt::format("cut_rank: {}\n", f.max_cut_rank);
    if (tokens)
        out += fmt::format("token_cut_rank: mean {:.2f}, max {} of {} tokens\n",
                           tokens->mean_max_rank, tokens->max_max_rank, file.sample.size());
    out +=
        fmt::format("this mixer only, not to be compared with others:\nrow_sum: {:.4f} to {:.4f}\n",
                    f.row_sums.minCoeff(), f.row_sums.maxCoeff());
    out += fmt::format("gain_max_row: {:.4f}\ngain_spectral: {:.4f}\n", f.max_row_gain,
                       f.spectral_gain);
    // Over the n (n + 1) / 2 entries that can differ from zero.
    out += fmt::format("mean_std: {:.4g}\n", 2 * file.std.sum() / static_cast<double>(n * (n + 1)));
    out += fmt::format("effective_rank: {:.2f}\n", f.max_effective_rank);
    if (tokens)
        out += fmt::format("token_effective_rank: mean {:.2f}\n", tokens->mean_max_effective);
    return out;
}

std::string matrix_row_text(const MatrixFile& file, const Layout& layout, Index l, int top) {
    const Index row = l - 1;
    std::vector<Index> order = by_size(file.share ? *file.share : file.mean, row);
    if (top > 0 && std::ssize(order) > top) order.resize(static_cast<std::size_t>(top));
    std::vector<std::string> titles{">source", "written by"};
    if (file.share) titles.insert(titles.end(), {">share", ">sd"});
    titles.insert(titles.end(), {">M", ">sd"});
    Table table(titles);
    for (const Index i : order) {
        std::vector<std::string> cells{std::to_string(i), layout.name(static_cast<int>(i))};
        if (file.share)
            cells.insert(cells.end(), {fmt::format("{:.1f}%", 100 * (*file.share)(row, i)),
                                       fmt::format("{:.1f}%", 100 * (*file.share_std)(row, i))});
        cells.insert(cells.end(), {fmt::format("{:.4f}", file.mean(row, i)),
                                   fmt::format("{:.4f}", file.std(row, i))});
        table.add(cells);
    }
    const std::string reader =
        l > layout.sublayers()
            ? std::string("the output")
            : fmt::format("sublayer {} ({}{})", l, layout.name(static_cast<int>(l)),
                          file.way.empty() || layout.kind(static_cast<int>(l)) != "attn"
                              ? ""
                              : ", " + file.way);
    return fmt::format("What {} reads (step {}); sd over tokens; M is of this mixer only\n{}",
                       reader, file.step, table.text());
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
    if (!file.way.empty()) out["way"] = file.way;
    if (file.share) {
        out["share"] = rows(*file.share);
        out["share_std"] = rows(*file.share_std);
    }
    out["this_mixer_only"] = {"mean",
                              "std",
                              "row_sums",
                              "gain_max_row",
                              "gain_spectral",
                              "effective_rank",
                              "max_effective_rank"};
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

}  // namespace plumb
