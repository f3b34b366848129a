// ToyStack: a small closed network around one depth mixer, for checks of the mixer alone.
//
//     v_l[n,c] = tanh(a_l[c] h_l[n,c] + b_l[c] h_l[n,c+1])       a_l, b_l fixed, channels cyclic
//     loss = sum_{n,c} g[n,c] h_{L+1}[n,c] + h_{L+1}[n,c]^2 / 2   g fixed
//
// Everything fixed is a function of the seed. It keeps every h_l, v_l and dLoss/dv_0. Scratch
// memory is NaN before every forward, so that a number nobody wrote shows.
#pragma once

#include "mixers/mixers.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace plumb {

// The [mixer] table of `name` with settings such as "gate=vector". Throws UsageError.
MixerConfig mixer_config(const std::string& name, const std::vector<std::string>& settings = {});

// Adds size * N(0,1) to every parameter whose group is `group` (both if empty): away from an init
// that hides mistakes behind zeros. The same numbers for float and double.
template <class Real>
void perturb(ParamStore<Real>& params, double size, std::uint64_t seed,
             std::optional<Group> group = {});

template <class Real>
class ToyStack {
public:
    explicit ToyStack(MixerPtr<Real> mixer, std::uint64_t seed = 1);

    // Refills v_0 with N(0,1) of that seed.
    void fill_input(std::uint64_t seed);
    double forward(const Context& ctx);
    // Adds gradients of scale * loss to params().grads() and overwrites dinput(). Once per forward.
    void backward(const Context& ctx, Real scale = Real(1));

    View<Real> input() { return view(outputs_.front()); }  // v_0 (N, C), the caller's to change
    View<Real> dinput() { return view(dinput_); }          // (N, C)
    View<Real> output(int l) { return view(outputs_[static_cast<std::size_t>(l)]); }  // v_l
    View<Real> read(int l) { return view(reads_[static_cast<std::size_t>(l - 1)]); }  // h_l
    DepthMixer<Real>& mixer() { return *mixer_; }
    // ctx in the stack's own frame, of plan(): where forward and backward run.
    Context home(const Context& ctx = {}) const { return ctx.in(*frame_); }
    const Plan& plan() const { return frame_->plan(); }
    // M of a token of the last forward, (L+1, L+1, G).
    std::vector<Real> matrix(Index token) const;
    ParamStore<Real>& params() { return params_; }

    // Where the mixer's l-th read goes: h_l as it is, without a norm.
    PreNorm<Real> raw(int l) {
        PreNorm<Real> norm;
        norm.xhat = view(norms_[static_cast<std::size_t>(l - 1)]);
        norm.dx = norm.xhat;
        return norm;
    }

private:
    void read_from_mixer(const Context& ctx, int l);
    View<Real> view(std::vector<Real>& x) const {
        return {x.data(), {{'N', n_}, {'C', c_}}, Device::cpu};
    }
    // a or b of sublayer l; g for l = L+1.
    const Real* weights(int l, bool b) const {
        return weights_.data() + static_cast<std::size_t>((2 * (l - 1) + b) * c_);
    }

    MixerPtr<Real> mixer_;
    int sublayers_;
    Index n_, c_;
    ParamStore<Real> params_;
    std::optional<Frame> frame_;
    std::vector<Real> weights_, target_, dinput_;     // (L, 2, C), (N, C), (N, C)
    std::vector<std::vector<Real>> outputs_, reads_;  // v_0..v_L, h_1..h_{L+1}
    std::vector<std::vector<Real>> norms_;  // h_1..h_{L+1} where the mixer sees, and may change, it
};

// Worst |sum_i M[l,i] v_i - h_l| over sum_i |M[l,i] v_i|, over all rows, tokens and channels of the
// last forward: h_l as the mixer computed it against the matrix it reports.
template <class Real>
double matrix_error(ToyStack<Real>& stack);

// M of one token, (L+1, L+1, G).
template <class Real>
std::vector<Real> depth_matrix(const Context& ctx, const DepthMatrix<Real>& mixer, Index token);

}  // namespace plumb
