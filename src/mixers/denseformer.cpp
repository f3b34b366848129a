// DenseFormer (Pagliardini et al. 2024, arXiv:2402.02622): depth-weighted averages (DWA) after
// every transformer block. With X_0 = v_0 and X_k = Y_{k-1} + the two outputs of block k,
//
//     Y_k = sum_{j <= k, j = k mod dilation} alpha[k,j] X_j    if k mod period = 0, else Y_k = X_k
//
// (the released package's rule for dilation and period). Attention of block k+1 reads Y_k, its MLP
// Y_k + v_attn, the final norm Y_K. alpha is shared by all tokens and starts one-hot on X_k:
// exactly the standard network. M = A (I - Z A)^{-1} over blocks, built here by the walk itself.
// Backward pulls: dX_j = sum_k alpha[k,j] dY_k is the same depth_mix with the weights transposed.
#include "core/parallel.h"
#include "mixers/materialised_mixer.h"
#include "ops/depth_mix.h"
#include "ops/reduce.h"

#include <algorithm>

namespace plumb {
namespace {

template <class Real>
class DenseFormer final : public MaterialisedMixer<Real> {
public:
    DenseFormer(const MixerShape& shape, int dilation, int period);

    void declare(Plan& plan, ParamStore<Real>& params) override;
    void bind(const Arena& arena, ParamStore<Real>& params) override;
    View<const Real> stream(int) const override { return h_; }

protected:
    View<Real> do_slot(int l) override { return l == 0 ? h_ : v_; }
    void do_begin(const Context& ctx) override { copy<Real>(ctx, h_, x_[0]); }
    View<const Real> do_read(const Context&, int) override { return h_; }
    void do_write(const Context& ctx, int l) override;
    View<Real> do_dslot(int l) override { return l > this->sublayers() ? dh_ : d_; }
    void do_read_backward(const Context& ctx, int l) override {
        if (l <= this->sublayers()) add<Real>(ctx, d_, dh_);
    }
    View<const Real> do_write_backward(const Context& ctx, int l) override;
    View<const Real> do_begin_backward(const Context& ctx) override;
    void do_depth_matrix(Index token, View<Real> m) const override;

private:
    // One DWA: Y_k over sources X_j, j = first, first + dilation, ..., k.
    struct Average {
        bool mixes = false;
        std::vector<int> sources;
        std::vector<const Real*> data;
        View<Real> alpha, dalpha;
    };
    // Who pulls on X_j: dY_k of every average that holds X_j, and its weight there.
    struct Pull {
        std::vector<const Real*> dy;
        std::vector<const Real*> alpha;
        std::vector<Real> weights;
    };
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    int n_blocks() const { return (this->sublayers() + 1) / 2; }
    bool ends_block(int l) const { return l % 2 == 0 || l == this->sublayers(); }
    void alpha_backward(const Context& ctx, int k);
    void pull(const Context& ctx, int j);

    int dilation_;
    std::vector<Average> averages_;  // index k, 0 unused
    std::vector<Pull> pulls_;        // index j
    std::vector<ParamId> alpha_id_;  // index k; invalid where block k does not mix
    std::vector<TensorId> x_id_, dy_id_;
    std::vector<View<Real>> x_, dy_;  // X_k, dY_k (N, C), k = 0..K (dY_0 unused)
    TensorId h_id_, v_id_, dh_id_, d_id_;
    View<Real> h_, v_, dh_, d_;  // (N, C)
};

template <class Real>
DenseFormer<Real>::DenseFormer(const MixerShape& shape, int dilation, int period)
    : MaterialisedMixer<Real>(shape), dilation_(dilation) {
    averages_.resize(at(n_blocks() + 1));
    for (int k = 1; k <= n_blocks(); ++k) {
        averages_[at(k)].mixes = k % period == 0;
        for (int j = k % dilation; j <= k; j += dilation) averages_[at(k)].sources.push_back(j);
    }
}

template <class Real>
void DenseFormer<Real>::declare(Plan& plan, ParamStore<Real>& params) {
    alpha_id_.resize(averages_.size());
    for (int k = 0; k <= n_blocks(); ++k) {
        x_id_.push_back(
            plan.declare<Real>(fmt::format("mixer.x.{}", k), this->token_shape(), Lifetime::saved));
        dy_id_.push_back(plan.declare<Real>(fmt::format("mixer.dy.{}", k), this->token_shape(),
                                            Lifetime::scratch));
        if (!averages_[at(k)].mixes) continue;
        const auto n = std::ssize(averages_[at(k)].sources);
        std::vector<double> one_hot(static_cast<std::size_t>(n), 0.0);
        one_hot.back() = 1.0;
        alpha_id_[at(k)] = params.declare({.name = fmt::format("layer.{}.mixer.alpha", k - 1),
                                           .shape = {{'S', n}},
                                           .init = Init::values(std::move(one_hot)),
                                           .group = Group::mixer});
    }
    const auto scratch = [&](const char* name) {
        return plan.declare<Real>(name, this->token_shape(), Lifetime::scratch);
    };
    h_id_ = scratch("mixer.h");
    v_id_ = scratch("mixer.v");
    dh_id_ = scratch("mixer.dh");
    d_id_ = scratch("mixer.d");
}

template <class Real>
void DenseFormer<Real>::bind(const Arena& arena, ParamStore<Real>& params) {
    for (const TensorId id : x_id_) x_.push_back(arena.view<Real>(id));
    for (const TensorId id : dy_id_) dy_.push_back(arena.view<Real>(id));
    h_ = arena.view<Real>(h_id_);
    v_ = arena.view<Real>(v_id_);
    dh_ = arena.view<Real>(dh_id_);
    d_ = arena.view<Real>(d_id_);
    pulls_.resize(averages_.size());
    for (int k = 1; k <= n_blocks(); ++k) {
        Average& average = averages_[at(k)];
        if (!average.mixes) continue;
        average.alpha = params.value(alpha_id_[at(k)]);
        average.dalpha = params.grad(alpha_id_[at(k)]);
        for (std::size_t s = 0; s < average.sources.size(); ++s) {
            Pull& pull = pulls_[at(average.sources[s])];
            average.data.push_back(x_[at(average.sources[s])].data);
            pull.dy.push_back(dy_[at(k)].data);
            pull.alpha.push_back(average.alpha.data + s);
            pull.weights.push_back(0);
        }
    }
}

template <class Real>
void DenseFormer<Real>::do_write(const Context& ctx, int l) {
    add<Real>(ctx, v_, h_);
    if (!ends_block(l)) return;
    const int k = (l + 1) / 2;
    copy<Real>(ctx, h_, x_[at(k)]);
    const Average& average = averages_[at(k)];
    if (average.mixes) depth_mix<Real>(ctx, average.data, {average.alpha.data, 0}, h_);
}

// dh_ holds dY_k when block k's last output is reached; it leaves as dX_k, the stream's gradient
// inside the block. Later averages that read X_k have left their dY already.
template <class Real>
View<const Real> DenseFormer<Real>::do_write_backward(const Context& ctx, int l) {
    if (ends_block(l)) {
        const int k = (l + 1) / 2;
        if (averages_[at(k)].mixes) {
            copy<Real>(ctx, dh_, dy_[at(k)]);
            alpha_backward(ctx, k);
            std::fill(dh_.data, dh_.data + dh_.count(), Real(0));
        }
        pull(ctx, k);
    }
    return dh_;
}

// At v_0 the stream's gradient (of Y_0 = X_0) and the pulls of all averages on X_0 meet.
template <class Real>
View<const Real> DenseFormer<Real>::do_begin_backward(const Context& ctx) {
    pull(ctx, 0);
    return dh_;
}

// dalpha[k,j] += sum_{n,c} X_j dY_k
template <class Real>
void DenseFormer<Real>::alpha_backward(const Context& ctx, int k) {
    Average& average = averages_[at(k)];
    for (std::size_t s = 0; s < average.sources.size(); ++s)
        average.dalpha.data[s] +=
            static_cast<Real>(total_dot<Real>(ctx, x_[at(average.sources[s])], dy_[at(k)]));
}

// dh_ += sum_k alpha[k,j] dY_k over the averages that hold X_j.
template <class Real>
void DenseFormer<Real>::pull(const Context& ctx, int j) {
    Pull& p = pulls_[at(j)];
    if (p.dy.empty()) return;
    for (std::size_t s = 0; s < p.weights.size(); ++s) p.weights[s] = *p.alpha[s];
    depth_mix<Real>(ctx, p.dy, {p.weights.data(), 0}, d_);
    add<Real>(ctx, d_, dh_);
}

template <class Real>
void DenseFormer<Real>::do_depth_matrix(Index, View<Real> m) const {
    const Index rows = this->sublayers() + 1;
    std::vector<std::vector<Real>> x(averages_.size());  // X_k over the v_i
    std::vector<Real> h(static_cast<std::size_t>(rows), Real(0));
    h[0] = Real(1);
    x[0] = h;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        std::copy(h.begin(), h.end(), m.data + (l - 1) * rows);
        if (l > this->sublayers()) break;
        h[at(l)] += Real(1);
        if (!ends_block(l)) continue;
        const Average& average = averages_[at((l + 1) / 2)];
        x[at((l + 1) / 2)] = h;
        if (!average.mixes) continue;
        std::fill(h.begin(), h.end(), Real(0));
        for (std::size_t s = 0; s < average.sources.size(); ++s)
            axpy(average.alpha.data[s], x[at(average.sources[s])].data(), h.data(), rows);
    }
}

}  // namespace

template <class Real>
MixerPtr<Real> make_denseformer(const MixerConfig& config, const MixerShape& shape) {
    const long blocks = (shape.sublayers + 1) / 2;
    for (const auto& [key, value] :
         {std::pair{"dilation", config.dilation}, {"period", config.period}})
        if (value < 1 || value > blocks)
            throw UsageError(fmt::format("mixer.{}={}: must lie in 1..{} (transformer blocks)", key,
                                         value, blocks));
    return std::make_unique<DenseFormer<Real>>(shape, static_cast<int>(config.dilation),
                                               static_cast<int>(config.period));
}
template MixerPtr<float> make_denseformer(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_denseformer(const MixerConfig&, const MixerShape&);

}  // namespace plumb
