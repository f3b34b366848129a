// M of a batch and what each read takes from its sources: means and standard deviations over
// tokens, and M of a few tokens.
//
// The share of source i in read l is, per token,
//
//     c[l,i] = <M[l,i] v_i, h_l> / <h_l, h_l>,    sum over i: 1
//
// the part of h_l that M[l,i] v_i makes up, cross terms included; M[l,i] acts channel by channel
// where a mixer has an M for each. Unlike M it does not change when a mixer writes the same network
// down differently (row l of M times a number, v_i times a number and column i divided by it).
// h_l is taken as sum_i M[l,i] v_i, which the tests hold equal to what is read.
#pragma once

#include "mixers/depth_mixer.h"

#include <span>
#include <vector>

namespace plumb {

// Square tensors are (L+1, L+1): row l-1 is what sublayer l (or, last, the final norm) reads,
// column i = 0..L.
struct MatrixSummary {
    Index rows = 0;
    std::vector<double> mean, std;  // over tokens, and over channels where each has its own M
    std::vector<double> sample;     // (n_sample, L+1, L+1), tokens spread evenly over the batch
    Index n_sample = 0;
    std::vector<double> share, share_std;   // of c over the tokens whose h_l is not zero
    std::vector<double> magnitude;          // mean of |M[l,i] v_i| / |h_l|: blind to directions
    std::vector<double> effective_sources;  // (L+1) mean of 1 / sum_i c[l,i]^2; 0: h_l is zero
};

// Adds up tokens of one or several passes; sums in double, in the order of the tokens.
template <class Real>
class MatrixSums {
public:
    // M of up to n_sample tokens of the first pass is kept. way: of which reads, where sublayers
    // read in several ways.
    MatrixSums(const DepthMatrix<Real>& mixer, Index n_sample, int way = 0);

    // The first `tokens` tokens of the mixer's last forward in the frame of ctx. outputs: v_0..v_L,
    // (N, C) each.
    void add(const Context& ctx, Index tokens, std::span<const View<const Real>> outputs);
    // Of M alone.
    void add(const Context& ctx, Index tokens) { add(ctx, tokens, {}); }
    // Without outputs the shares are empty.
    MatrixSummary summary() const;

private:
    struct Token;  // one token's figures
    void measure(const typename DepthMatrix<Real>::OfToken& matrices, Index n,
                 std::span<const View<const Real>> outputs, Token& t) const;
    void measure_read(Index row, Index n, std::span<const View<const Real>> outputs,
                      Token& t) const;
    void add_token(const Token& t, bool sampled);

    const DepthMatrix<Real>& mixer_;
    int way_;
    Index rows_, n_sample_;
    double tokens_ = 0;
    std::vector<double> sum_, squares_;  // of M
    std::vector<double> sample_;
    std::vector<double> reads_;                             // (L+1) tokens whose h_l is not zero
    std::vector<double> share_, share_spread_, magnitude_;  // Welford's mean and sum of squares
    std::vector<double> effective_;
};

}  // namespace plumb
