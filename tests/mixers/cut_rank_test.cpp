// How many vectors a streaming implementation must carry across a cut of the depth axis: the cut
// rank of M, token by token, with random parameters and L = 12.
#include "matrix/analysis.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("cut rank of every mixer", "[mixers]") {
    struct Row {
        const char* mixer;
        std::vector<std::string> settings;
        Index rank;
    };
    const std::vector<Row> table{
        {"standard", {}, 1},
        {"rezero", {}, 1},
        {"layerscale", {}, 1},
        {"deepnorm", {}, 1},
        {"highway", {}, 1},
        {"highway", {"gate=vector"}, 1},  // in every channel
        {"hyper", {"streams=3"}, 3},
        {"hyper", {"streams=2", "dynamic=false"}, 2},
        {"mhc", {"streams=3"}, 3},
        {"mhc", {"streams=4", "reduction=learned"}, 4},
        {"mhc_lite", {"streams=3"}, 3},
        // K = 6 averages: after block k, k+1 sources X_j meet the K-k+1 averages still to come
        {"denseformer", {}, 4},
        // K = 6 blocks: X_0 .. X_3 and the residual meet the reads that are left, in every way
        {"mudd", {"hidden=6"}, 5},
        {"mudd", {"dynamic=false"}, 5},
        {"static_mix", {}, 7},  // full: max_r min(r, L+2-r)
        {"attnres", {}, 7},
        // completed sources + 1, capped by the reads that are left
        {"attnres_block", {"block_size=1"}, 7},
        {"attnres_block", {"block_size=2"}, 5},
        {"attnres_block", {"block_size=3"}, 4},
        {"attnres_block", {"block_size=4"}, 4},
        {"attnres_block", {"block_size=6"}, 3},
    };
    for (const Row& row : table) {
        INFO(row.mixer << " " << fmt::format("{}", fmt::join(row.settings, " ")));
        const auto stack =
            toy_stack<double>(mixer_config(row.mixer, row.settings), {12, 3, 7, 1e-6});
        stack->forward({});
        const Index g = stack->mixer().matrix_channels();
        for (Index token = 0; token < 3 * stack->mixer().most_ways(); ++token) {
            const std::vector<double> m = stack->matrix(token % 3, static_cast<int>(token / 3));
            for (Index k = 0; k < g; ++k) {
                Eigen::MatrixXd one(13, 13);
                for (Index i = 0; i < 13 * 13; ++i)
                    one(i / 13, i % 13) = m[static_cast<std::size_t>(i * g + k)];
                CHECK(analyse(one, 1e-9).max_cut_rank == row.rank);
            }
        }
    }
}
