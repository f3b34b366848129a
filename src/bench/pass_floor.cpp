#include "bench/pass_floor.h"

#include "mixers/attn_res_rule.h"
#include "mixers/memories/depth_schedule.h"

namespace plumb {
namespace {

constexpr double kNorm = 2;

// v, h read and written; backward dv, dh read and written, and v where the weights learn.
PassFloor running_row(double sum, bool learns) {
    return {kNorm + 1 + 2 * sum, kNorm + 1 + 2 * sum + (learns ? 1 : 0)};
}

// A gate for each channel, z = W xhat: t = sigmoid(z) kept, z written and read; backward t, the
// xhat of the gate's input, dz written and read, the gate's part of dxhat.
PassFloor highway_vector(double sum) {
    const PassFloor row = running_row(sum, true);
    return {row.forward + 3, row.backward + 5};
}

// X, K rows, read and written, v. Backward X, dX read and written, v, dv, and X once more in the
// product that makes the gradient of the coefficients' weights.
PassFloor streams(double k, bool weighs) {
    return {kNorm + 2 * k + 1, kNorm + 3 * k + 2 + (weighs ? k : 0)};
}

// A block's sum, kept in float where it would round, is read and written backward.
PassFloor sources(const Layout& layout, int block_size, double sum) {
    const int sublayers = layout.sublayers();
    const DepthSchedule schedule(sublayers, block_size);
    double reads = 0, pulls = 0;
    for (int l = 1; l <= sublayers + 1; ++l) {
        reads += static_cast<double>(schedule.read_rows(l));
        pulls += static_cast<double>(schedule.pull_rows(l - 1));
    }
    const double carry = block_size > 1 && sum > 1 ? 3 : 0;
    return {kNorm + reads / sublayers, kNorm + pulls / sublayers + carry};
}

// A running row, and at the end of each block the average over those of all blocks: the rows that
// the schedule of the averages moves beside X_k (dX_k), which the pass has in its hands.
PassFloor averages(const Layout& layout, double sum) {
    const int blocks = layout.blocks(), sublayers = layout.sublayers();
    const DepthSchedule schedule(blocks, 1, {}, [](int l, int j) { return j < l - 1; });
    double reads = 0, pulls = 0;
    for (int k = 0; k <= blocks; ++k) {
        reads += static_cast<double>(schedule.read_rows(k + 1)) - (k == 0 ? 1 : 0);
        pulls += static_cast<double>(schedule.pull_rows(k)) - (k == 0 ? 1 : 0);
    }
    PassFloor floor = running_row(sum, false);
    floor.forward += reads / sublayers, floor.backward += pulls / sublayers;
    return floor;
}

}  // namespace

std::optional<PassFloor> pass_floor(const MixerConfig& mixer, const Layout& layout, bool bf16) {
    const double sum = bf16 ? 2 : 1;  // rows of T that a row of a running sum is
    const std::string& name = mixer.name;
    if (name == "standard") return running_row(sum, false);
    if (name == "rezero" || name == "layerscale" || name == "deepnorm")
        return running_row(sum, true);
    if (name == "highway")
        return mixer.text("gate") == "vector" ? highway_vector(sum) : running_row(sum, true);
    if (name == "denseformer" && mixer.integer("dilation") == 1 && mixer.integer("period") == 1)
        return averages(layout, sum);
    if (name == "hyper")
        return streams(static_cast<double>(mixer.integer("streams")), mixer.flag("dynamic"));
    if (name == "mhc" || name == "mhc_lite")
        return streams(static_cast<double>(mixer.integer("streams")), true);
    if (name.starts_with("attnres") && mixer.integer("window") == 0 &&
        mixer.text("query") != "input")
        return sources(layout, name == "attnres" ? 1 : sublayers_a_block(mixer, layout.sublayers()),
                       sum);
    return std::nullopt;
}

}  // namespace plumb
