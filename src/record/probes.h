// Probes by depth: what one forward and backward pass looks like along the walk. Numbers only; the
// sinks (depth.jsonl, TensorBoard) are elsewhere. Pure functions of the tensors; training is not
// altered.
//
// Every rms is sqrt(mean over tokens and channels of x^2). Gradients are of the mean loss of the
// probed batch, so dout_rms falls with the number of tokens as 1/N.
#pragma once

#include "core/params.h"
#include "record/recorder.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

// log10 |g| from -12 to 2 in half decades; smaller (0 too) and larger ones fall in the end bins.
inline constexpr int kHistogramBins = 28;
inline constexpr double kHistogramLow = -12.0, kHistogramStep = 0.5;

// |g| over a set of parameters.
struct GradientSummary {
    double rms = 0;
    std::array<double, 6> quantiles{};  // 5, 25, 50, 75, 95 %, largest
    std::array<long, kHistogramBins> histogram{};
};
template <class Real>
GradientSummary summarise_gradients(const std::vector<View<const Real>>& grads);

// One line of depth.jsonl. What does not exist at a depth is empty.
struct DepthRecord {
    int depth;         // 0 embedding, 1..L sublayers, L+1 output
    std::string site;  // layer.3.mlp
    std::string kind;  // embed, attn, mlp, output
    std::optional<double> read_rms, out_rms, stream_rms;
    std::optional<double> contribution;  // mean over tokens of |v_l| / |h_l|
    std::optional<double> cosine;        // mean over tokens of cos(h_l, h_{l-1}), l >= 2
    std::optional<double> dout_rms;      // of dLoss/dv_l
    std::optional<double> dread_rms;     // of dLoss/dh_l through sublayer l alone
    GradientSummary gradients;           // of the sublayer's own weights; filled by the caller
};

// Listens to one forward and one backward pass.
template <class Real>
class DepthProbe final : public Recorder<Real> {
public:
    DepthProbe(int sublayers, Index tokens, Index channels);
    void tensor(const Context& ctx, Quantity what, int l, View<const Real> x) override;
    std::vector<DepthRecord>& records() { return records_; }

private:
    void read_input(const Context& ctx, DepthRecord& r, int l, View<const Real> h);
    double contribution(const Context& ctx, View<const Real> v) const;

    std::vector<DepthRecord> records_;  // index depth
    Index channels_;
    std::vector<Real> previous_;  // h_{l-1} (N, C)
    std::vector<double> h_norm_;  // |h_l| of each token
};

}  // namespace plumb
