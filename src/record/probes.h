// DepthProbe: what forward and backward passes look like along the walk, by depth. Numbers only;
// record/measures.h describes them, the sinks (depth.jsonl, TensorBoard) are elsewhere. Listens
// only: training is not altered.
//
// A read in several ways counts by its first, the queries of an attention; M is kept of each way.
//
// Every rms is sqrt(mean over tokens and channels of x^2). Gradients are of the mean loss of the
// probed tokens, so dout_rms falls with their number as 1/N.
#pragma once

#include "matrix/summary.h"
#include "model/recorder.h"
#include "record/depth_record.h"

#include <vector>

namespace plumb {

// Bytes that a probe of a float model keeps while it listens: v_0..v_L and one read of a pass,
// (L+2) N C numbers, and what the model copies out to show it.
double probe_bytes(Index sublayers, Index tokens, Index channels);

// Of one or several passes of one model. Memory: probe_bytes; a pass holds the sequences of one
// micro-batch, however many are probed.
template <class Real>
class DepthProbe final : public Recorder<Real> {
public:
    // Listens to the model that `mixer` is part of; keeps M of n_sample tokens.
    DepthProbe(const DepthMatrix<Real>& mixer, Index n_sample);

    // A forward pass follows, of whose tokens the first `tokens` are measured; the others fill up
    // the batch. Not called: all of them.
    void begin_pass(Index tokens) { n_ = tokens; }
    void tensor(const Context& ctx, Quantity what, int l, View<const Real> x) override;

    // One a depth, 0..L+1, without the figures of parameters (record/parameters.h).
    std::vector<DepthRecord> records() const;
    MatrixSummary matrix() const { return matrices_.front().summary(); }
    std::vector<MatrixSummary> matrices() const;  // of each way

private:
    static constexpr std::size_t kQuantities = 5;
    struct Sums {  // over the tokens of one depth
        std::array<double, kQuantities> squares{}, numbers{}, largest{};
        double contribution = 0, cosine = 0, angle = 0, ablation = 0;
        bool seen(Quantity what) const { return numbers[static_cast<std::size_t>(what)] > 0; }
        double rms(Quantity what) const;
    };
    void add_magnitudes(const Context& ctx, Quantity what, Sums& s, View<const Real> x);
    void keep_output(const Context& ctx, int l, View<const Real> v);
    void compare_reads(const Context& ctx, int l, View<const Real> h);
    double token_sum(const std::vector<double>& by_token) const;
    void add_shares(std::vector<DepthRecord>& records) const;
    Index row(Index n) const { return n * mixer_.shape().channels; }

    const DepthMatrix<Real>& mixer_;
    Layout layout_;
    int sublayers_;
    Index n_;                                 // tokens of this pass that count
    double tokens_ = 0;                       // of all passes
    std::vector<Sums> sums_;                  // index depth
    std::vector<std::vector<Real>> outputs_;  // v_0..v_L (N, C)
    std::vector<Real> previous_;              // h_{l-1} (N, C)
    std::vector<double> norm_;                // |h_l| of each token
    std::vector<MatrixSums<Real>> matrices_;  // of each way
};

}  // namespace plumb
