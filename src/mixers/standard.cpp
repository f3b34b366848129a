// Standard residual connection: h_{l+1} = h_l + v_l, so M is all ones below the diagonal
// (He et al. 2016; paper section 2). One running sum forward, one running gradient backward.
#include "mixers/mixers.h"

#include "ops/reduce.h"

namespace plumb {
namespace {

template <class Real>
class Standard final : public DepthMixer<Real> {
public:
    using DepthMixer<Real>::DepthMixer;

    void declare(Plan& plan, ParamStore<Real>&) override {
        h_id_ = plan.declare<Real>("mixer.h", this->token_shape(), Lifetime::scratch);
        v_id_ = plan.declare<Real>("mixer.v", this->token_shape(), Lifetime::scratch);
        dh_id_ = plan.declare<Real>("mixer.dh", this->token_shape(), Lifetime::scratch);
        d_id_ = plan.declare<Real>("mixer.d", this->token_shape(), Lifetime::scratch);
    }
    void bind(const Arena& arena, ParamStore<Real>&) override {
        h_ = arena.view<Real>(h_id_);
        v_ = arena.view<Real>(v_id_);
        dh_ = arena.view<Real>(dh_id_);
        d_ = arena.view<Real>(d_id_);
    }
    View<const Real> stream(int) const override { return h_; }

protected:
    View<Real> do_slot(int l) override { return l == 0 ? h_ : v_; }
    void do_begin(const Context&) override {}
    View<const Real> do_read(const Context&, int) override { return h_; }
    void do_write(const Context& ctx, int) override { add<Real>(ctx, v_, h_); }

    // dh = dLoss/d(stream); the last read starts it, earlier ones add to it.
    View<Real> do_dslot(int l) override { return l > this->sublayers() ? dh_ : d_; }
    void do_read_backward(const Context& ctx, int l) override {
        if (l <= this->sublayers()) add<Real>(ctx, d_, dh_);
    }
    View<const Real> do_write_backward(const Context&, int) override { return dh_; }
    View<const Real> do_begin_backward(const Context&) override { return dh_; }

    void do_depth_matrix(Index, View<Real> m) const override {
        const Index rows = this->sublayers() + 1;
        for (Index r = 0; r < rows; ++r)
            for (Index i = 0; i <= r; ++i) m.data[r * rows + i] = Real(1);
    }

private:
    TensorId h_id_, v_id_, dh_id_, d_id_;
    View<Real> h_, v_, dh_, d_;  // (N, C)
};

}  // namespace

template <class Real>
std::unique_ptr<DepthMixer<Real>> make_standard(const MixerConfig&, const MixerShape& shape) {
    return std::make_unique<Standard<Real>>(shape);
}
template std::unique_ptr<DepthMixer<float>> make_standard(const MixerConfig&, const MixerShape&);
template std::unique_ptr<DepthMixer<double>> make_standard(const MixerConfig&, const MixerShape&);

}  // namespace plumb
