// ToyStack: a small closed network around one depth mixer, for checks of the mixer alone.
//
//     v_l[n,c] = tanh(a_l[c] h_l[n,c] + b_l[c] h_l[n,c+1])       a_l, b_l fixed, channels cyclic
//     loss = sum_{n,c} g[n,c] h_{L+1}[n,c] + h_{L+1}[n,c]^2 / 2   g fixed
//
// Where sublayer l reads in several ways, tanh is of the sum over them, each with its own a, b.
// Everything fixed is a function of the seed. It keeps every h_l, v_l and dLoss/dv_0. Scratch
// memory is NaN before every forward, so that a number nobody wrote shows.
#pragma once

#include "mixers/mixers.h"

#include <cstdint>
#include <functional>
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
    View<Real> read(int l, int way = 0) { return view(at(reads_, l, way)); }          // h_l
    DepthMixer<Real>& mixer() { return *mixer_; }
    // ctx in the stack's own frame, of plan(): where forward and backward run.
    Context home(const Context& ctx = {}) const { return ctx.in(*frame_); }
    const Plan& plan() const { return frame_->plan(); }
    // M of a token of the last forward, (L+1, L+1, G).
    std::vector<Real> matrix(Index token, int way = 0) const;
    ParamStore<Real>& params() { return params_; }

    // Where the mixer's l-th read goes, each way: h_l as it is, without a norm.
    std::vector<PreNorm<Real>> raw(int l) {
        std::vector<PreNorm<Real>> norms(static_cast<std::size_t>(mixer_->ways(l)));
        for (int way = 0; way < std::ssize(norms); ++way) {
            PreNorm<Real>& norm = norms[static_cast<std::size_t>(way)];
            norm.dx = norm.xhat = view(at(norms_, l, way));
        }
        return norms;
    }

private:
    using Reads = std::vector<std::vector<std::vector<Real>>>;  // (N, C) of site l and way
    static std::vector<Real>& at(Reads& reads, int l, int way) {
        return reads[static_cast<std::size_t>(l - 1)][static_cast<std::size_t>(way)];
    }
    void read_from_mixer(const Context& ctx, int l);
    View<Real> view(std::vector<Real>& x) const {
        return {x.data(), {{'N', n_}, {'C', c_}}, Device::cpu};
    }
    // a or b of sublayer l.
    const Real* weights(int l, bool b, int way) const {
        return weights_[static_cast<std::size_t>(way)].data() + (2 * (l - 1) + b) * c_;
    }

    MixerPtr<Real> mixer_;
    int sublayers_;
    Index n_, c_;
    ParamStore<Real> params_;
    std::optional<Frame> frame_;
    std::vector<std::vector<Real>> weights_;  // (L, 2, C) of each way
    std::vector<Real> target_, dinput_;       // (N, C), (N, C)
    std::vector<std::vector<Real>> outputs_;  // v_0..v_L
    Reads reads_, norms_;  // h_1..h_{L+1}; the same where the mixer sees, and may change, it
};

// Row l (C) of a token, of v_l or h_l.
template <class Real>
using RowOf = std::function<const Real*(int l)>;

// Worst |sum_i M[l,i] v_i - h_l| over sum_i |M[l,i] v_i|, over all rows and channels of a token:
// h_l as the mixer computed it against m (L+1, L+1, G), the matrix it reports.
template <class Real>
double matrix_error(const std::vector<Real>& m, const DepthMatrix<Real>& mixer,
                    const RowOf<Real>& v, const RowOf<Real>& h);
// Over all ways and tokens of the last forward.
template <class Real>
double matrix_error(ToyStack<Real>& stack);

// M of one token, (L+1, L+1, G); of several tokens: where matrices = mixer.matrices(ctx).
template <class Real>
std::vector<Real> depth_matrix(const DepthMatrix<Real>& mixer,
                               const typename DepthMatrix<Real>::OfToken& matrices, Index token,
                               int way = 0);
template <class Real>
std::vector<Real> depth_matrix(const Context& ctx, const DepthMatrix<Real>& mixer, Index token,
                               int way = 0);

}  // namespace plumb
