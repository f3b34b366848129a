// Standard residual connection: h_{l+1} = h_l + v_l, so M is all ones below the diagonal
// (He et al. 2016; paper section 2). One running sum forward, one running gradient backward, both
// in Real. Numbers moved per token and sublayer, without the norm's: forward 3 C, backward 2 C.
#include "core/parallel.h"
#include "mixers/mixers.h"
#include "mixers/standard_rule.h"

namespace plumb {
namespace {

template <class T>
class Standard final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using DepthMixer<T>::DepthMixer;

    void stream(const Context& ctx, int, Index n, Real* out) const override {
        std::copy_n(ctx(h_).row(n), this->shape().channels, out);
    }

protected:
    void do_declare(Plan& plan, ParamStore<Real>&) override {
        const Index c = this->shape().channels, chunks = n_chunks(this->shape().tokens);
        v_ = plan.scratch<T>("mixer.v", this->token_shape());
        h_ = plan.scratch<Real>("mixer.h", this->token_shape());
        dh_ = plan.scratch<Real>("mixer.dh", this->token_shape());
        row_ = plan.scratch<Real>("mixer.row", {{'P', chunks}, {'C', c}});
        if constexpr (kRounds)
            dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
        else
            dv_ = dh_;
    }
    View<T> do_slot(const Context& ctx, int) const override { return ctx(v_); }
    void do_begin(const Context&) override {}
    void do_write(const Context&, int) override {}  // v_l joins the sum when l+1 reads

    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override {
        const Index c = this->shape().channels;
        const View<Real> hs = ctx(h_);
        const View<T> vs = ctx(v_);
        for_tokens(ctx, this->shape().tokens, [&](Index n) {
            Real* h = hs.row(n);
            const T* v = vs.row(n);
            if (l == 1)
                for (Index i = 0; i < c; ++i) h[i] = v[i];
            else
                for (Index i = 0; i < c; ++i) h[i] += v[i];
            norm.put(n, h);
        });
        this->template moved<T>(ctx, c);
        this->template moved<Real>(ctx, (l == 1 ? 1 : 2) * c);
    }

    // dh = dLoss/d(stream); the last read starts it, earlier ones add to it.
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override {
        const Index c = this->shape().channels;
        const bool last = l > this->sublayers();
        const View<Real> row = ctx(row_), dhs = ctx(dh_);
        const View<T> dv = ctx(dv_);
        for_tokens(ctx, this->shape().tokens, [&](Index n) {
            Real *d = row.row(n / kTokenChunk), *dh = dhs.row(n);
            norm.gradient(n, d);
            if (last)
                std::copy_n(d, c, dh);
            else
                for (Index i = 0; i < c; ++i) dh[i] += d[i];
            if constexpr (kRounds) std::copy_n(dh, c, dv.row(n));
        });
        this->template moved<Real>(ctx, (last ? 1 : 2) * c);
        if (kRounds) this->template moved<T>(ctx, c);
    }
    View<const T> do_write_backward(const Context& ctx, int) override { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) override { return ctx(dv_); }

    void do_depth_matrix(const Context&, Index, View<Real> m) const override {
        const Index rows = this->sublayers() + 1;
        for (Index r = 0; r < rows; ++r)
            for (Index i = 0; i <= r; ++i) m.data[r * rows + i] = Real(1);
    }

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;

    Tensor<T> v_, dv_;     // (N, C)
    Tensor<Real> h_, dh_;  // (N, C)
    Tensor<Real> row_;     // (n_chunks, C)
};

}  // namespace

RulePtr standard_rule(const MixerConfig&, const MixerShape& shape) {
    return std::make_unique<StandardRule>(shape);
}

template <class T>
MixerPtr<T> make_standard(const MixerConfig&, const MixerShape& shape) {
    return std::make_unique<Standard<T>>(shape);
}
template MixerPtr<float> make_standard(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_standard(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_standard(const MixerConfig&, const MixerShape&);

}  // namespace plumb
