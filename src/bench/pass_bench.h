// The passes of each mixer on a GPU, site by site: the bytes that its memory says they move
// (DepthMixer::moves) beside the fewest they could (pass_floor.h), and the time they take by the
// device's events. An emulated device has no time: there bytes alone are found.
#pragma once

#include "bench/bench_setup.h"
#include "bench/pass_floor.h"
#include "core/context.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace plumb {

// Of a direction, at a site.
struct SitePass {
    double bytes = 0;    // per token, with the norm's
    double seconds = 0;  // of all tokens, median; NaN: not measured
};

struct PassBench {
    BenchMixer mixer;
    bool fused = false;                            // else the memory that carries any rule
    std::vector<std::array<SitePass, 2>> sites{};  // l = 1..L+1; forward, backward
    std::optional<PassFloor> floor{};

    // Over all sites.
    double bytes(int direction) const;
    double seconds(int direction) const;
};

// What the rest of a model is per token of a training step, for a model of its time
// (scripts/step_model); without the head.
struct ModelCosts {
    double weights = 0;             // of matrix products
    double attention_flops = 0;     // of scores and values
    double attention_numbers = 0;   // widths of what attentions read from qkv and leave in heads
    double activation_numbers = 0;  // that activations read and write, both ways
};

struct PassBenches {
    BenchShape shape;  // as it ran, overrides applied
    std::string precision;
    Index tokens = 0;      // of a pass that is timed
    long sublayers = 0;    // L
    double row_bytes = 0;  // of C activations
    ModelCosts model{};
    std::vector<PassBench> rows;
};

// ctx is of a GPU. Walks: how many are timed. Throws UsageError for impossible settings. progress:
// as BenchOptions::progress.
PassBenches bench_passes(const BenchShape& shape, const std::vector<BenchMixer>& mixers,
                         const std::vector<std::string>& overrides, const Context& ctx,
                         const std::string& precision, int walks,
                         const std::function<void(double, const std::string&)>& progress = {});

}  // namespace plumb
