// One line of depth.jsonl: what a probe measured at one depth. record/measures.h says what each
// number is.
#pragma once

#include <array>
#include <optional>
#include <string>

namespace plumb {

// log10 |g| from -12 to 2 in half decades; smaller (0 too) and larger ones fall in the end bins.
inline constexpr int kHistogramBins = 28;
inline constexpr double kHistogramLow = -12.0, kHistogramStep = 0.5;

// |g| over a set of parameters.
struct GradientSummary {
    double norm = 0, rms = 0;
    std::array<double, 6> quantiles{};  // 5, 25, 50, 75, 95 %, largest
    std::array<long, kHistogramBins> histogram{};
    // Of log10 |g|, which counts as -12 where it is smaller.
    double log_min = 0, log_max = 0, log_sum = 0, log_squares = 0;
};

// What does not exist at a depth is empty.
struct DepthRecord {
    int depth = 0;     // 0 embedding, 1..L sublayers, L+1 output
    std::string site;  // layer.3.mlp
    std::string kind;  // embed, attn, mlp, output

    // Comparable between mixers.
    std::optional<double> write_share, write_magnitude, output_share, share_kept;
    std::optional<double> effective_sources, embedding_share;
    std::optional<double> cosine, angular_distance;
    std::optional<double> out_rms, out_amax, dout_rms, ablation;
    std::optional<double> pgrad_norm, pgrad_rms, update_ratio;
    GradientSummary gradients;
    // Of one mixer alone.
    std::optional<double> read_rms, read_amax, stream_rms, contribution, dread_rms;
    std::optional<double> mixer_pgrad_norm, mixer_update_ratio;
};

}  // namespace plumb
