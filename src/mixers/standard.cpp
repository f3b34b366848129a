// Standard residual connection: h_{l+1} = h_l + v_l, so M is all ones below the diagonal
// (He et al. 2016; paper section 2). One running sum forward, one running gradient backward, both
// in Real. Numbers moved per token and sublayer, without the norm's: forward 3 C, backward 2 C.
#include "core/parallel.h"
#include "mixers/mixers.h"

namespace plumb {
namespace {

template <class T>
class Standard final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using DepthMixer<T>::DepthMixer;

    void declare(Plan& plan, ParamStore<Real>&) override {
        const Index c = this->shape().channels, chunks = n_chunks(this->shape().tokens);
        v_id_ = plan.declare<T>("mixer.v", this->token_shape(), Lifetime::scratch);
        h_id_ = plan.declare<Real>("mixer.h", this->token_shape(), Lifetime::scratch);
        dh_id_ = plan.declare<Real>("mixer.dh", this->token_shape(), Lifetime::scratch);
        row_id_ = plan.declare<Real>("mixer.row", {{'P', chunks}, {'C', c}}, Lifetime::scratch);
        if (kRounds) dv_id_ = plan.declare<T>("mixer.dv", this->token_shape(), Lifetime::scratch);
    }
    void bind(const Arena& arena, ParamStore<Real>&) override {
        v_ = arena.view<T>(v_id_);
        h_ = arena.view<Real>(h_id_);
        dh_ = arena.view<Real>(dh_id_);
        row_ = arena.view<Real>(row_id_);
        if constexpr (kRounds)
            dv_ = arena.view<T>(dv_id_);
        else
            dv_ = dh_;
    }
    void stream(int, Index n, Real* out) const override {
        std::copy_n(h_.row(n), this->shape().channels, out);
    }

protected:
    View<T> do_slot(int) override { return v_; }
    void do_begin(const Context&) override {}
    void do_write(const Context&, int) override {}  // v_l joins the sum when l+1 reads

    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override {
        const Index c = this->shape().channels;
        for_tokens(ctx, this->shape().tokens, [&](Index n) {
            Real* h = h_.row(n);
            const T* v = v_.row(n);
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
        for_tokens(ctx, this->shape().tokens, [&](Index n) {
            Real *d = row_.row(n / kTokenChunk), *dh = dh_.row(n);
            norm.gradient(n, d);
            if (last)
                std::copy_n(d, c, dh);
            else
                for (Index i = 0; i < c; ++i) dh[i] += d[i];
            if constexpr (kRounds) std::copy_n(dh, c, dv_.row(n));
        });
        this->template moved<Real>(ctx, (last ? 1 : 2) * c);
        if (kRounds) this->template moved<T>(ctx, c);
    }
    View<const T> do_write_backward(const Context&, int) override { return dv_; }
    View<const T> do_begin_backward(const Context&) override { return dv_; }

    void do_depth_matrix(Index, View<Real> m) const override {
        const Index rows = this->sublayers() + 1;
        for (Index r = 0; r < rows; ++r)
            for (Index i = 0; i <= r; ++i) m.data[r * rows + i] = Real(1);
    }

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;

    TensorId v_id_, h_id_, dh_id_, dv_id_, row_id_;
    View<T> v_, dv_;     // (N, C)
    View<Real> h_, dh_;  // (N, C)
    View<Real> row_;     // (n_chunks, C)
};

}  // namespace

template <class T>
MixerPtr<T> make_standard(const MixerConfig&, const MixerShape& shape) {
    return std::make_unique<Standard<T>>(shape);
}
template MixerPtr<float> make_standard(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_standard(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_standard(const MixerConfig&, const MixerShape&);

}  // namespace plumb
