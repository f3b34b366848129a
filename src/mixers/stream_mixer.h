// Base of the mixers that carry K streams X_l (K, C) per token: Hyper-Connections and mHC.
//
//     h_l = sum_s pre[s] X_l[s]      X_{l+1}[k] = sum_s res[s,k] X_l[s] + post[k] v_l
//     X_1 = K copies of v_0          h_{L+1} = sum_s pre[s] X_{L+1}[s]
//
// A subclass says how the coefficients [pre (K) | post (K) | res (K*K)] of a sublayer come about
// and how their gradient goes back to X and its parameters. M[l,i] = pre_l^T (product of res^T)
// post_i has cut rank K. Per token and sublayer a fused pass would move (3K + 2) C numbers.
#pragma once

#include "mixers/materialised_mixer.h"

namespace plumb {

inline constexpr int kMaxStreams = 8;

template <class Real>
class StreamMixer : public MaterialisedMixer<Real> {
public:
    StreamMixer(const MixerShape& shape, int streams);

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;
    View<const Real> stream(int l) const override { return x_[static_cast<std::size_t>(l)]; }

protected:
    // Fills coef(l) for every token from x(l). At l = L+1 only pre is used.
    virtual void coefficients(const Context& ctx, int l) = 0;
    // dcoef() -> adds to dx() and to parameter gradients. At l = L+1 only pre is set.
    virtual void coefficients_backward(const Context& ctx, int l) = 0;

    int streams() const { return streams_; }
    Index n_coef() const { return streams_ * (streams_ + 2); }
    View<Real> x(int l) const { return x_[static_cast<std::size_t>(l - 1)]; }        // (N, K, C)
    View<Real> coef(int l) const { return coef_[static_cast<std::size_t>(l - 1)]; }  // (N, K*K+2K)
    View<Real> dx() const { return dx_; }                                            // (N, K, C)
    View<Real> dcoef() const { return dcoef_; }                                      // (N, K*K+2K)

private:
    View<Real> do_slot(int l) override;
    void do_begin(const Context& ctx) override;
    View<const Real> do_read(const Context& ctx, int l) override;
    void do_write(const Context& ctx, int l) override;
    View<Real> do_dslot(int) override { return dh_; }
    void do_read_backward(const Context& ctx, int l) override;
    View<const Real> do_write_backward(const Context& ctx, int l) override;
    View<const Real> do_begin_backward(const Context& ctx) override;
    void do_depth_matrix(Index token, View<Real> m) const override;

    int streams_;
    std::vector<TensorId> x_id_, v_id_, coef_id_;
    std::vector<View<Real>> x_, v_, coef_;  // index l - 1
    TensorId h_id_, dh_id_, dv_id_, dx_id_, dcoef_id_;
    View<Real> h_, dh_, dv_, dx_, dcoef_;
};

}  // namespace plumb
