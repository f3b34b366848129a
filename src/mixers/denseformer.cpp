// DenseFormer (Pagliardini et al. 2024, arXiv:2402.02622): depth-weighted averages (DWA) after
// every transformer block. With X_0 = v_0 and X_k = Y_{k-1} + the two outputs of block k,
//
//     Y_k = sum_{j <= k, j = k mod dilation} alpha[k,j] X_j    if k mod period = 0, else Y_k = X_k
//
// (the released package's rule for dilation and period). Attention of block k+1 reads Y_k, its MLP
// Y_k + v_attn, the final norm Y_K. alpha is shared by all tokens and starts one-hot on X_k:
// exactly the standard network. M = A (I - Z A)^{-1} over blocks, built here by the walk itself.
//
// One running h in Real; X_k is kept in T, and in backward dY_k too, in the memory of the pre-norm
// that read it. Backward pulls, in one pass over X_j and the dY_k of all averages that hold it:
//
//     dX_j = sum_k alpha[k,j] dY_k,    dalpha[k,j] = sum_{n,c} X_j dY_k
//
// Numbers moved per token beside those of `standard`, K blocks, dilation = period = 1: forward
// X_j read and X_k written at the end of block k, K (K + 3) / 2 C; backward as much and X_j:
// K (K + 5) / 2 + 1 C. No order of passes needs fewer unless averages of several blocks share one.
#include "core/parallel.h"
#include "mixers/denseformer_rule.h"
#include "mixers/mixers.h"
#include "ops/reduce.h"

#include <algorithm>
#include <array>

namespace plumb {
namespace {

// Tokens whose rows are mixed together: sources stream by in long pieces, sums stay in L1. Sources
// go in groups of four, so that a sum is loaded and stored once for four of them.
constexpr Index kRows = 8;
constexpr std::size_t kGroup = 4;

// Up to four sources and their weights; the last one again, with weight 0, where there are fewer.
template <class T>
struct Four {
    std::array<const T*, kGroup> x;
    std::array<RealOf<T>, kGroup> a;

    // source(s), weight(s) of n sources, from s = first on.
    template <class Source, class Weight>
    Four(std::size_t first, std::size_t n, Source&& source, Weight&& weight) {
        for (std::size_t i = 0; i < kGroup; ++i) {
            const bool there = first + i < n;
            x[i] = source(there ? first + i : n - 1);
            a[i] = there ? weight(first + i) : RealOf<T>(0);
        }
    }
    // h += sum_i a_i x_i over count numbers.
    void add_to(RealOf<T>* h, Index count) const {
        const T *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
        const RealOf<T> a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
#pragma omp simd
        for (Index i = 0; i < count; ++i)
            h[i] += (a0 * x0[i] + a1 * x1[i]) + (a2 * x2[i] + a3 * x3[i]);
    }
    // The same, and <y, x_i> on the way.
    std::array<RealOf<T>, kGroup> add_to(RealOf<T>* h, const T* y, Index count) const {
        using Real = RealOf<T>;
        const T *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
        const Real a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
        Real s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
        for (Index i = 0; i < count; ++i) {
            const Real yi = y[i], r0 = x0[i], r1 = x1[i], r2 = x2[i], r3 = x3[i];
            h[i] += (a0 * r0 + a1 * r1) + (a2 * r2 + a3 * r3);
            s0 += yi * r0, s1 += yi * r1, s2 += yi * r2, s3 += yi * r3;
        }
        return {s0, s1, s2, s3};
    }
};

template <class T>
class DenseFormer final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;

    DenseFormer(const MixerShape& shape, int dilation, int period);

    void stream(const Context& ctx, int, Index n, Real* out) const override {
        std::copy_n(ctx(h_).row(n), this->shape().channels, out);
    }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    View<T> do_slot(const Context& ctx, int l) const override { return ctx(l == 0 ? x_[0] : v_); }
    void do_begin(const Context&) override {}
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context&, int) override {}  // v_l joins the stream when l+1 reads
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int) override { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) override { return ctx(dv_); }
    void do_depth_matrix(const Context& ctx, Index token, View<Real> m) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;

    // One DWA: Y_k over sources X_j, j = first, first + dilation, ..., k.
    struct Average {
        bool mixes = false;
        std::vector<int> sources;
        Param<Real> alpha;
    };
    // Average k holds X_j as its source number s.
    struct Pull {
        int k;
        std::size_t s;
    };
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    int n_blocks() const { return (this->sublayers() + 1) / 2; }
    // The block that ends with sublayer l, 0 for the embedding; -1 inside a block.
    int block_ending(int l) const {
        return l % 2 == 0 || l == this->sublayers() ? (l + 1) / 2 : -1;
    }
    // dY_k (N, C) during backward: in the memory of the pre-norm that read Y_k.
    T* dy(const Context& ctx, int k) const {
        return this->left_norms(ctx)[std::min(2 * k, this->sublayers())].xhat;
    }
    // f(begin, end, chunk) for every piece of kRows tokens, or what is left of a chunk.
    template <class F>
    void for_rows(const Context& ctx, F&& f) const;
    void average(const Context& ctx, int k, Index begin, Index end) const;
    void pull(const Context& ctx, int j, Index begin, Index end, double* dalpha) const;

    int dilation_;
    std::vector<Average> averages_;         // index k, 0 unused
    std::vector<std::vector<Pull>> pulls_;  // index j, k ascending
    std::vector<Tensor<T>> x_;              // X_k (N, C), k = 0..K
    Tensor<Real> h_, dh_;                   // (N, C)
    Tensor<T> v_, dv_;                      // (N, C)
    Tensor<Real> row_;                      // (n_chunks, C)
    Tensor<double> dalpha_;                 // (n_chunks, K), of the averages that hold one X_j
};

template <class T>
DenseFormer<T>::DenseFormer(const MixerShape& shape, int dilation, int period)
    : DepthMixer<T>(shape), dilation_(dilation) {
    averages_.resize(at(n_blocks() + 1));
    pulls_.resize(averages_.size());
    for (int k = 1; k <= n_blocks(); ++k) {
        Average& average = averages_[at(k)];
        average.mixes = k % period == 0;
        for (int j = k % dilation; j <= k; j += dilation) {
            if (average.mixes) pulls_[at(j)].push_back({k, average.sources.size()});
            average.sources.push_back(j);
        }
    }
}

template <class T>
void DenseFormer<T>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index c = this->shape().channels, chunks = n_chunks(this->shape().tokens);
    for (int k = 0; k <= n_blocks(); ++k) {
        x_.push_back(plan.saved<T>(fmt::format("mixer.x.{}", k), this->token_shape()));
        if (!averages_[at(k)].mixes) continue;
        const auto n = std::ssize(averages_[at(k)].sources);
        std::vector<double> one_hot(static_cast<std::size_t>(n), 0.0);
        one_hot.back() = 1.0;
        averages_[at(k)].alpha = params.declare({.name = fmt::format("layer.{}.mixer.alpha", k - 1),
                                                 .shape = {{'S', n}},
                                                 .init = Init::values(std::move(one_hot)),
                                                 .group = Group::mixer});
    }
    h_ = plan.scratch<Real>("mixer.h", this->token_shape());
    v_ = plan.scratch<T>("mixer.v", this->token_shape());
    dh_ = plan.scratch<Real>("mixer.dh", this->token_shape());
    if constexpr (kRounds)
        dv_ = plan.scratch<T>("mixer.dv", this->token_shape());
    else
        dv_ = dh_;
    row_ = plan.scratch<Real>("mixer.row", {{'P', chunks}, {'C', c}});
    dalpha_ = plan.scratch<double>("mixer.dalpha", {{'P', chunks}, {'K', n_blocks()}});
}

template <class T>
template <class F>
void DenseFormer<T>::for_rows(const Context& ctx, F&& f) const {
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        for (Index n = begin; n < end; n += kRows) f(n, std::min(end, n + kRows), chunk);
    });
}

// ---- forward ------------------------------------------------------------------------------------

template <class T>
void DenseFormer<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels;
    const int k = block_ending(l - 1);
    const bool mixes = k > 0 && averages_[at(k)].mixes;
    const View<Real> hs = ctx(h_);
    const View<T> x = k > 0 ? ctx(x_[at(k)]) : View<T>{};
    const T* const v = this->slot(ctx, l - 1).data;
    for_rows(ctx, [&](Index begin, Index end, Index) {
        Real* h = hs.data;
        if (l == 1) std::fill(h + begin * c, h + end * c, Real(0));
#pragma omp simd
        for (Index i = begin * c; i < end * c; ++i) h[i] += v[i];
        if (k > 0) std::copy(h + begin * c, h + end * c, x.row(begin));
        if (mixes) average(ctx, k, begin, end);
        for (Index n = begin; n < end; ++n) norm.put(n, hs.row(n));
    });
    const Index sources = mixes ? std::ssize(averages_[at(k)].sources) - 1 : 0;
    this->template moved<Real>(ctx, (l == 1 ? 1 : 2) * c);
    this->template moved<T>(ctx, (1 + (k > 0 ? 1 : 0) + sources) * c);
}

// h = X_k -> Y_k
template <class T>
void DenseFormer<T>::average(const Context& ctx, int k, Index begin, Index end) const {
    const Index count = (end - begin) * this->shape().channels;
    const Average& average = averages_[at(k)];
    const Real* alpha = ctx.value(average.alpha).data;
    const std::size_t older = average.sources.size() - 1;
    Real* h = ctx(h_).row(begin);
    for (Index i = 0; i < count; ++i) h[i] *= alpha[older];
    for (std::size_t s = 0; s < older; s += kGroup)
        Four<T>(
            s, older, [&](std::size_t i) { return ctx(x_[at(average.sources[i])]).row(begin); },
            [&](std::size_t i) { return alpha[i]; })
            .add_to(h, count);
}

// ---- backward -----------------------------------------------------------------------------------

// dh becomes dLoss/d(stream that sublayer l reads). Where that is Y_k, it leaves as dX_k, the
// stream's gradient inside block k; averages of later blocks have left their dY already.
template <class T>
void DenseFormer<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels, n_tokens = this->shape().tokens;
    const bool last = l > this->sublayers();
    const int k = block_ending(l - 1);
    const bool mixes = k > 0 && averages_[at(k)].mixes;
    const auto pulls = k < 0 ? 0 : std::ssize(pulls_[at(k)]);
    const View<Real> row = ctx(row_), dhs = ctx(dh_);
    const View<double> dalphas = ctx(dalpha_);
    const View<T> dv = ctx(dv_);
    T* const dy = mixes ? this->dy(ctx, k) : nullptr;
    for_rows(ctx, [&](Index begin, Index end, Index chunk) {
        Real *d = row.row(chunk), *dh = dhs.data;
        if (begin % kTokenChunk == 0) std::fill_n(dalphas.row(chunk), n_blocks(), 0.0);
        if (last) std::fill(dh + begin * c, dh + end * c, Real(0));
        for (Index n = begin; n < end; ++n) {
            norm.gradient(n, d);
            axpy(Real(1), d, dhs.row(n), c);
        }
        if (mixes) {
            std::copy(dh + begin * c, dh + end * c, dy + begin * c);
            std::fill(dh + begin * c, dh + end * c, Real(0));
        }
        if (pulls > 0) pull(ctx, k, begin, end, dalphas.row(chunk));
        if constexpr (kRounds) std::copy(dh + begin * c, dh + end * c, dv.row(begin));
    });
    for (Index p = 0; p < pulls; ++p) {
        const Pull& pull = pulls_[at(k)][static_cast<std::size_t>(p)];
        double sum = 0;
        for (Index chunk = 0; chunk < n_chunks(n_tokens); ++chunk) sum += dalphas.row(chunk)[p];
        ctx.grad(averages_[at(pull.k)].alpha).data[pull.s] += static_cast<Real>(sum);
    }
    this->template moved<Real>(ctx, (last ? 1 : 2) * c);
    // dY_k as it was written, the others', X_k
    this->template moved<T>(ctx, (pulls + (pulls > 0 ? 1 : 0) + (kRounds ? 1 : 0)) * c);
}

// dh += sum_k alpha[k,j] dY_k over the averages that hold X_j, and their dalpha[k,j].
template <class T>
void DenseFormer<T>::pull(const Context& ctx, int j, Index begin, Index end, double* dalpha) const {
    const Index c = this->shape().channels, count = (end - begin) * c;
    const std::vector<Pull>& pulls = pulls_[at(j)];
    for (std::size_t p = 0; p < pulls.size(); p += kGroup) {
        const Four<T> group(
            p, pulls.size(), [&](std::size_t i) { return dy(ctx, pulls[i].k) + begin * c; },
            [&](std::size_t i) {
                return ctx.value(averages_[at(pulls[i].k)].alpha).data[pulls[i].s];
            });
        const auto along = group.add_to(ctx(dh_).row(begin), ctx(x_[at(j)]).row(begin), count);
        for (std::size_t i = p; i < std::min(p + kGroup, pulls.size()); ++i)
            dalpha[i] += static_cast<double>(along[i - p]);
    }
}

template <class T>
void DenseFormer<T>::do_depth_matrix(const Context& ctx, Index, View<Real> m) const {
    const Index rows = this->sublayers() + 1;
    std::vector<std::vector<Real>> x(averages_.size());  // X_k over the v_i
    std::vector<Real> h(static_cast<std::size_t>(rows), Real(0));
    h[0] = Real(1);
    x[0] = h;
    for (int l = 1; l <= this->sublayers() + 1; ++l) {
        std::copy(h.begin(), h.end(), m.data + (l - 1) * rows);
        if (l > this->sublayers()) break;
        h[at(l)] += Real(1);
        const int k = block_ending(l);
        if (k < 0) continue;
        const Average& average = averages_[at(k)];
        x[at(k)] = h;
        if (!average.mixes) continue;
        std::fill(h.begin(), h.end(), Real(0));
        for (std::size_t s = 0; s < average.sources.size(); ++s)
            axpy(ctx.value(average.alpha).data[s], x[at(average.sources[s])].data(), h.data(),
                 rows);
    }
}

// Throws UsageError.
void check_options(const MixerConfig& config, const MixerShape& shape) {
    const long blocks = (shape.sublayers + 1) / 2;
    for (const auto& [key, value] :
         {std::pair{"dilation", config.integer("dilation")}, {"period", config.integer("period")}})
        if (value < 1 || value > blocks)
            throw UsageError(fmt::format("mixer.{}={}: must lie in 1..{} (transformer blocks)", key,
                                         value, blocks));
}

}  // namespace

std::vector<MixerOption> denseformer_options() {
    return {{"dilation", 1L, "an average takes in every dilation-th earlier block only",
             within(1, 1e6)},
            {"period", 1L, "blocks between two averages", within(1, 1e6)}};
}

RulePtr denseformer_rule(const MixerConfig& config, const MixerShape& shape) {
    check_options(config, shape);
    return std::make_unique<DenseFormerRule>(shape, static_cast<int>(config.integer("dilation")),
                                             static_cast<int>(config.integer("period")));
}

template <class T>
MixerPtr<T> make_denseformer(const MixerConfig& config, const MixerShape& shape) {
    check_options(config, shape);
    return std::make_unique<DenseFormer<T>>(shape, static_cast<int>(config.integer("dilation")),
                                            static_cast<int>(config.integer("period")));
}
template MixerPtr<float> make_denseformer(const MixerConfig&, const MixerShape&);
template MixerPtr<double> make_denseformer(const MixerConfig&, const MixerShape&);
template MixerPtr<Bf16> make_denseformer(const MixerConfig&, const MixerShape&);

}  // namespace plumb
