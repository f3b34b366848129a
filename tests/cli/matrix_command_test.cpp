#include "cli/matrix_command.h"

#include "catch.h"
#include "cli/matrix_text.h"
#include "cli/run_folder.h"
#include "core/check.h"
#include "core/files.h"
#include "formats/safetensors.h"
#include "mixers/layout.h"
#include "run/run_log.h"
#include "support/temp_folder.h"

#include <nlohmann/json.hpp>

#include <cmath>

using namespace plumb;
namespace fs = std::filesystem;

namespace {

constexpr Index kSize = 5;  // L = 4

std::vector<float> standard() {
    std::vector<float> m(kSize * kSize, 0.0f);
    for (Index r = 0; r < kSize; ++r)
        for (Index i = 0; i <= r; ++i) m[static_cast<std::size_t>(r * kSize + i)] = 1;
    return m;
}

// A run with a matrix file per step; the tokens are the standard matrix and the identity.
struct MatrixRun {
    TempFolder folder;
    std::vector<float> mean = standard(), std_dev = standard(), sample = standard();

    MatrixRun() {
        for (Index i = 0; i < kSize * kSize; ++i) sample.push_back(i % (kSize + 1) == 0 ? 1 : 0);
        write_file(folder / "config.toml", "[model]\nlayers = 2\n");
        make_folder(folder / "matrix");
    }
    fs::path save(Index step, bool with_sample = true) const {
        std::vector<TensorRef> tensors{{"mean", "F32", {kSize, kSize}, mean.data()},
                                       {"std", "F32", {kSize, kSize}, std_dev.data()}};
        if (with_sample) tensors.push_back({"sample", "F32", {2, kSize, kSize}, sample.data()});
        const fs::path path = folder / fmt::format("matrix/step_{:08d}.safetensors", step);
        write_safetensors(path, tensors,
                          {{"mixer", "standard"}, {"step", fmt::format("{}", step)}});
        return path;
    }
    fs::path newest(Index step = -1) const {
        return find_step_file(folder.path(), "matrix", step, "hint");
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// Attention and MLP in turn.
Layout of(const MatrixFile& file) { return {static_cast<int>(file.mean.rows()) - 1}; }

}  // namespace

TEST_CASE("the newest matrix is found, or the one asked for") {
    MatrixRun run;
    CHECK_THROWS_WITH(run.newest(), contains_text("hint"));
    run.save(5);
    run.save(100000000);
    run.save(20);
    write_file(run.folder / "matrix/step_x.safetensors", "");
    CHECK(run.newest().filename() == "step_100000000.safetensors");
    CHECK(run.newest(20).filename() == "step_00000020.safetensors");
    CHECK_THROWS_WITH(run.newest(7), contains_text("no step 7; it has 5, 20, 100000000"));
}

TEST_CASE("figures of the mean and of single tokens") {
    MatrixRun run;
    const MatrixFile file = read_matrix_file(run.save(40));
    CHECK(file.mixer == "standard");
    CHECK(file.step == 40);
    REQUIRE(file.sample.size() == 2);
    CHECK(file.sample[0] == file.mean);
    CHECK(file.sample[1] == Eigen::MatrixXd::Identity(5, 5));
    const auto ranks = token_ranks(file, kRankTolerance);
    REQUIRE(ranks);
    // Cuts of the identity have rank 1 too: only source r-1 is read, by sublayer r.
    CHECK(ranks->max_max_rank == 1);
    CHECK(ranks->mean_rank == std::vector<double>(5, 1.0));
    const auto json = nlohmann::json::parse(matrix_json(file, kRankTolerance));
    CHECK(json["max_cut_rank"] == 1);
    CHECK(json["gain_max_row"] == 5);
    CHECK(json["row_sums"] == std::vector<double>{1, 2, 3, 4, 5});
    CHECK(json["mean"][3] == std::vector<double>{1, 1, 1, 1, 0});
    CHECK(json["sublayers"] == 4);
    CHECK(json["tokens"]["n"] == 2);
    CHECK(json["tokens"]["mean_max_cut_rank"] == 1);
    const MatrixFile alone = read_matrix_file(run.save(41, false));
    CHECK_FALSE(token_ranks(alone, kRankTolerance));
    CHECK_FALSE(nlohmann::json::parse(matrix_json(alone, kRankTolerance)).contains("tokens"));
}

TEST_CASE("the rank of a mean can exceed that of every token") {
    MatrixFile file;
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(4, 4), b = a;
    a(2, 0) = 1, a(3, 0) = 1;
    b(2, 1) = 1, b(3, 1) = 2;
    file.sample = {a, b};
    file.mean = (a + b) / 2;
    file.std = (a - b).cwiseAbs() / 2;
    const auto ranks = token_ranks(file, kRankTolerance);
    REQUIRE(ranks);
    CHECK(ranks->max_max_rank == 1);
    CHECK(analyse(file.mean).max_cut_rank == 2);
}

TEST_CASE("the heat map has every row, attention and MLP apart, and fits the terminal") {
    MatrixRun run;
    const MatrixFile file = read_matrix_file(run.save(40));
    const std::string text = matrix_text(file, of(file), {}, Terminal{});
    const std::string expected =
        "      0\n"
        "read by attention\n"
        "   1  @@          0 1.000\n"
        "   3  @@@@@@      0 1.000, 1 1.000\n"
        "read by MLP\n"
        "   2  @@@@        0 1.000, 1 1.000\n"
        "   4  @@@@@@@@    0 1.000, 1 1.000\n"
        "read by the output\n"
        "   5  @@@@@@@@@@  0 1.000, 1 1.000\n";
    CHECK(contains(text, expected));
    CHECK(contains(text, "\nmixer: standard\nstep: 40\nsublayers: 4\n"));
    CHECK(contains(text, "\ncut_rank: 1\n"));
    CHECK(contains(text, "\nmean_std: 1\n"));
    CHECK(text.ends_with("token_effective_rank: mean 1.00\n"));
    // Rows are scaled by themselves.
    MatrixFile uneven = file;
    uneven.mean.row(3) *= 0.25;
    CHECK(contains(matrix_text(uneven, of(uneven), {}, Terminal{}),
                   "   4  @@@@@@@@    0 0.250, 1 0.250\n"));
    // 5 sources on 2 columns: three to a cell.
    Terminal narrow;
    narrow.width = 20;
    const std::string small = matrix_text(file, of(file), {}, narrow);
    CHECK(contains(small, "3 to a cell"));
    CHECK(contains(small, "   5  @@  0 1.000\n"));
}

TEST_CASE("the rows of a map and their names are those of the run's blocks") {
    MatrixRun run;
    const MatrixFile file = read_matrix_file(run.save(40));
    const Layout layout({"mlp", "attn", "attn", "mlp"}, 1);
    const std::string text = matrix_text(file, layout, {}, Terminal{}),
                      mlps = matrix_text(file, {{"mlp"}, 4}, {}, Terminal{});
    CHECK(contains(text,
                   "read by attention\n"
                   "   2  @@@@        0 1.000, 1 1.000\n"
                   "   3  @@@@@@      0 1.000, 1 1.000\n"
                   "read by MLP\n"
                   "   1  @@          0 1.000\n"
                   "   4  @@@@@@@@    0 1.000, 1 1.000\n"
                   "read by the output\n"));
    CHECK((!contains(mlps, "read by attention") && contains(mlps, "read by MLP\n   1  @@ ")));
    CHECK(contains(matrix_row_text(file, layout, 4, 0), "sublayer 4 (layer.0.mlp2)"));
    CHECK(contains(matrix_row_text(file, layout, 4, 0), "3  layer.0.attn2"));
}

TEST_CASE("shares, where a file has them, are what the map shows") {
    MatrixFile file;
    const Index n = 13;
    file.mean = Eigen::MatrixXd::Ones(n, n).triangularView<Eigen::Lower>();
    file.std = 0.25 * file.mean;
    file.share = Eigen::MatrixXd::Zero(n, n);
    file.share_std = file.std;
    for (Index r = 0; r < n; ++r) {
        (*file.share)(r, 0) = 0.375;
        (*file.share)(r, r) += 0.625;
    }
    (*file.share)(2, 1) = -0.5;
    const std::string text = matrix_text(file, of(file), {}, Terminal{});
    CHECK(contains(text, "\n      0         5         10\nread by attention\n"));
    CHECK(contains(text, "   1  @@" + std::string(26, ' ') + "0 100%\n"));
    CHECK(contains(text, "  2 62%, 1 -50%\n"));
    CHECK(contains(text, "\n.;+#@  from none to the largest share of the row\n"));
    CHECK(contains(text, "\n-@     a negative share\n"));
    CHECK(!contains(matrix_text(file, of(file), {.weights = true}, Terminal{}), "a negative"));
    Terminal narrow;
    narrow.width = 60;
    narrow.unicode = true;
    const std::string shades = matrix_text(file, of(file), {}, narrow);
    CHECK(contains(shades, "\n·░▒▓█  from none"));
    const std::string top = shades.substr(0, shades.find("read by attention"));
    for (std::size_t at = 0, end = 0; (end = top.find('\n', at)) != top.npos; at = end + 1)
        CHECK(display_width(top.substr(at, end - at)) <= 60);
    CHECK(contains(text, "  12 62%, 0 38%\n"));
    MatrixView weights;
    weights.weights = true;
    weights.top = 1;
    CHECK(contains(matrix_text(file, of(file), weights, Terminal{}), "  0 1.000\n"));
    const std::string row = matrix_row_text(file, of(file), 3, 0);
    CHECK(contains(row, "sublayer 3 (layer.1.attn)"));
    CHECK(contains(row, "layer.0.mlp    62.5%"));
    CHECK(contains(row, "layer.0.attn  -50.0%"));
    CHECK(row.find("layer.0.mlp") < row.find("layer.0.attn"));
    CHECK(!contains(matrix_row_text(file, of(file), 3, 1), "layer.0.attn "));
    CHECK(matrix_row_text(file, of(file), 13, 1).starts_with("What the output reads (step 0);"));
    const auto json = nlohmann::json::parse(matrix_json(file, kRankTolerance));
    CHECK(json["share"][2][1] == -0.5);
    CHECK(json["this_mixer_only"][0] == "mean");
}

TEST_CASE("a mixer that reads in several ways has a matrix of each") {
    TempFolder folder;
    write_file(folder / "config.toml", "");
    RunLog log(folder.path(), {}, {});
    std::vector<MatrixSummary> ways(3);
    for (std::size_t way = 0; way < ways.size(); ++way) {
        MatrixSummary& m = ways[way];
        m.rows = 3, m.n_sample = 1;
        m.mean = m.std = m.sample = m.share = m.share_std = {1, 0, 0, 1, 1, 0, 1, 1, 1};
        m.mean[3] = static_cast<double>(way) + 0.5;
    }
    log.matrix(7, "mudd", 1, ways);
    log.matrix(8, "standard", 1, {ways.front()});
    const auto path = [&](Index step) { return find_step_file(folder.path(), "matrix", step, ""); };
    for (int way = 0; way < 3; ++way) {
        const MatrixFile file = read_matrix_file(path(7), way);
        CHECK((file.way == way_name(way) && file.mean(1, 0) == way + 0.5));
        CHECK((file.share && file.sample.size() == 1));
        CHECK(contains(matrix_text(file, of(file), {}, Terminal{}), "\nway: " + file.way));
        CHECK(contains(matrix_row_text(file, of(file), 1, 0), "(layer.0.attn, " + file.way + ")"));
        CHECK(contains(matrix_row_text(file, of(file), 2, 0), "(layer.0.mlp)"));
        CHECK(nlohmann::json::parse(matrix_json(file, kRankTolerance))["way"] == file.way);
    }
    const MatrixFile one = read_matrix_file(path(8));
    CHECK((one.way.empty() && !contains(matrix_text(one, of(one), {}, Terminal{}), "way:")));
    CHECK_FALSE(nlohmann::json::parse(matrix_json(one, kRankTolerance)).contains("way"));
    CHECK_THROWS_WITH(read_matrix_file(path(8), 1), contains_text("--way k"));
}

TEST_CASE("files that do not hold matrices are refused") {
    MatrixRun run;
    const fs::path path = run.save(1);
    const float x[6] = {};
    const auto refused = [&](const std::vector<TensorRef>& tensors) {
        write_safetensors(path, tensors);
        CHECK_THROWS_AS(read_matrix_file(path), IoError);
    };
    const TensorRef mean{"mean", "F32", {2, 2}, x}, std_dev{"std", "F32", {2, 2}, x};
    refused({mean});
    refused({std_dev});
    refused({{"mean", "F32", {2, 3}, x}, std_dev});
    refused({mean, {"std", "F32", {1, 1}, x}});
    refused({mean, std_dev, {"sample", "F32", {1, 2}, x}});
    refused({mean, std_dev, {"share", "F32", {1, 1}, x}, {"share_std", "F32", {2, 2}, x}});
    write_safetensors(path, std::vector{mean, std_dev});
    CHECK_NOTHROW(read_matrix_file(path));
    run.mean[1] = 0.5f;  // sublayer 1 cannot read v_1
    run.save(1);
    CHECK_THROWS_WITH(read_matrix_file(path), contains_text("later sources"));
    run.mean[1] = std::nanf("");
    run.save(1);
    CHECK_THROWS_WITH(read_matrix_file(path), contains_text("NaN"));
}

TEST_CASE("what is not a run is refused with what to type next") {
    TempFolder folder;
    CHECK_THROWS_WITH(require_run(folder / "none", "matrix"), contains_text("plumb train --out"));
    CHECK_THROWS_WITH(require_run(folder.path(), "matrix"), contains_text("plumb train --out"));
    make_folder(folder / "a");
    write_file(folder / "a/config.toml", "");
    CHECK_THROWS_WITH(require_run(folder.path(), "matrix"),
                      contains_text("try `plumb matrix " + (folder / "a").string()));
    CHECK_THROWS_WITH(require_run(folder / "a/config.toml", "matrix"),
                      contains_text("try `plumb matrix " + (folder / "a").string()));
    CHECK_NOTHROW(require_run(folder / "a", "matrix"));
}

TEST_CASE("the command runs from the command line") {
    MatrixRun run;
    run.save(3);
    const std::string here = run.folder.path().string();
    const auto parse = [](const std::string& words) {
        CLI::App app;
        add_matrix_command(app);
        app.parse("matrix " + words);
    };
    CHECK_THROWS_AS(parse(here + " --step 4"), IoError);
    CHECK_THROWS_AS(parse(here + "@4"), IoError);
    CHECK_THROWS_AS(parse(here + "@3 --step 3"), UsageError);
    CHECK_THROWS_AS(parse(here + "@3 --row 6"), UsageError);
    CHECK_NOTHROW(parse(here + "@3 --row 4,output --top 1"));
    CHECK_THROWS_AS(parse(here + " --way k"), UsageError);
    CHECK_NOTHROW(parse(here + " --way q"));
    CHECK_THROWS_AS(parse(here + " --way r"), CLI::ValidationError);
    CHECK_THROWS_AS(parse(""), CLI::RequiredError);
    CHECK_THROWS_AS(parse(here + " --row layer.0.attn2"), UsageError);
    const auto config = [&](const std::string& text) {
        write_file(run.folder / "config.toml", "[model]\n" + text);
    };
    config("layers = 1\npattern = [\"attn\", \"attn\", \"mlp\", \"mlp\"]\n");
    CHECK_NOTHROW(parse(here + " --row layer.0.attn2"));
    config("layers = 3\n");
    CHECK_THROWS_WITH(parse(here), contains_text("6 sublayers, its matrix is of 4"));
    CHECK_THROWS_AS(parse("x --step -4"), CLI::ValidationError);
    CLI::App app;
    add_matrix_command(app);
    CHECK(contains(app.get_subcommand("matrix")->help(),
                   "plumb matrix runs/attnres@500 --row layer.3.mlp"));
}
