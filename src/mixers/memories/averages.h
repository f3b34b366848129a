// Averages: the memory of a residual stream that is replaced by a mix of its own past at the end of
// some transformer blocks (DenseFormer). With X_0 = v_0 and X_k the stream at the end of block k,
//
//     X_k = Y_{k-1} + the two outputs of block k
//     Y_k = a[k,k] X_k + sum_{j<k} a[k,j] X_j
//
// a by the rule's A at the site that ends block k (its newest row), on its parameters alone
// (constant_weights.h). Attention of block k+1 reads Y_k, its MLP Y_k + v_attn, the final norm Y_K.
//
// One running h in Real; X_k is kept in T, and in backward dY_k too, in the memory of the pre-norm
// that read it. The X_k are sources that never change, the Y_k mixes of them: read in the two
// phases of depth_schedule.h, with k = 0..K for sources and k + 1 for reads, but for a[k,k] X_k,
// which is h itself: a stream that nothing but itself enters is never rounded to T. Backward pulls,
// mirrored:
//
//     dX_j = a[j,j] dY_j + sum_{k>j} a[k,j] dY_k,    da[k,j] = sum_{n,c} X_j dY_k
//
// where dX_j is then dh, the stream's gradient inside block j.
//
// Which tensors share memory, (N, C) each:
//
//     memory of           first                         then
//     X_k                 the mix that waits for        X_k; in backward, once block k is done, the
//                         Y_{k-1}, if any               gradients of X_j that have k as their place
//     xhat of Y_k's read  xhat                          dY_k, from that read's backward on
//     dv                  the mix that waits for Y_K    dv, and dh where T is Real
//
// On a GPU averages are made and pulled one by one (averages_on_gpu.h), in the same tensors.
//
// Rows moved per token beside those of `standard`: X_k written at the end of block k, and what
// DepthSchedule counts; at 24 blocks 13.7 C a block both ways, where one by one takes 28 C.
#pragma once

#include "mixers/memories/averages_on_gpu.h"
#include "mixers/memories/constant_weights.h"
#include "mixers/memories/source_rows.h"
#include "mixers/mixers.h"
#include "ops/reduce.h"

namespace plumb {

template <class T>
class Averages final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    // At the end of block k, l = min(2 k, L), rows 0..k-1 of the rule's X_l are X_0..X_{k-1}, row k
    // and v_l add up to X_k, and the newest row of X_{l+1} is Y_k.
    explicit Averages(RulePtr rule, DepthSchedule::Sizes groups = {});
    static bool runs_on_gpu(const Rule& rule);

    void stream(const Context& ctx, int, View<Real> out) const override {
        copy<Real>(ctx, ctx(h_), out);
    }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    View<T> do_slot(const Context& ctx, int l) const override {
        return ctx(l == 0 ? sources_.tensor(0) : v_);
    }
    void do_begin(const Context& ctx) override {
        on_gpu(ctx) ? gpu_.begin(ctx) : constants_.begin(ctx);
    }
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context&, int) override {}  // v_l joins the stream when l+1 reads
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int) override { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) override {
        on_gpu(ctx) ? gpu_.end_backward(ctx) : constants_.end_backward(ctx);
        return ctx(dv_);
    }
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall call, int l) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    static constexpr Index kStep = SourceRows<T>::kStep;
    static constexpr int kMaxGroup = DepthSchedule::kMaxGroup;

    // Weights are the same for all tokens: the rows of a tile of them are one row of many numbers.
    // 512 bytes are worth the setting up; of 1024, the next tile's rows push this one's out of L1.
    static constexpr Index kNumbers = 512 / static_cast<Index>(sizeof(T));
    Index tile_tokens() const { return std::clamp<Index>(kNumbers / channels(), 1, kTokenChunk); }

    // One chunk's rows and weights.
    struct Bench {
        Real* d;      // (C) D of a token
        Real* out;    // (kMaxGroup, tile C) mixes for the group's queries; gradients of its sources
        Real* w;      // (K + 1, kStep) weights of old sources for the group's queries
        Real* fresh;  // (width) of the mix that waits and of fresh sources
        Real *p, *t;  // (kMaxGroup, width) weights and their gradients, source by reader
        double* sums;  // (kMaxGroup, width) sums of those; then that of a[k,k]
    };
    // What a site touches in a frame. k: the block that ends before it; -1: none.
    struct Here {
        int k;
        T *x, *v, *dy, *dv;  // X_0, v_{l-1}, dY_k
        Real *h, *dh, own;   // own: a[k,k]
        const typename DepthMixer<T>::LeftNorm* norms;
    };

    static bool on_gpu(const Context& ctx) { return ctx.device == Device::cuda; }
    typename AveragesOnGpu<T>::Site site_on_gpu(const Context& ctx, int l, bool backward) const;
    MovedNumbers moves_on_gpu(DepthCall call, int l) const;
    int n_blocks() const { return this->layout().blocks(); }
    Index channels() const { return this->shape().channels; }
    Index width() const { return n_blocks() + 1 + kStep; }
    // The block that ends with sublayer l, 0 for the embedding; -1 inside a block.
    int block_ending(int l) const {
        return l == 0 || this->layout().ends_block(l) ? this->layout().block(l + 1) : -1;
    }
    const DepthSchedule& schedule() const { return sources_.schedule(); }
    // Whether Y_k has others than X_k in it.
    bool mixes(int k) const { return k > 0 && constants_.learned(k + 1); }
    Index bench_numbers() const { return (n_blocks() + 1) * kStep + (1 + 2 * kMaxGroup) * width(); }
    Index n_sums() const { return kMaxGroup * width() + 1; }
    Here here(const Context& ctx, int l) const;
    Bench bench(const Context& ctx, Index chunk) const;
    // dY_k of a pass; the site that reads Y_k follows the end of block k.
    T* dy(const Here& at, int k) const { return at.norms[this->layout().end_of(k)].xhat; }
    // Of a tile: `count` numbers from number `begin` of (N, C) on.
    void average(const Here& at, Index begin, Index count, const Bench& bench) const;
    void fetch_read(const Here& at, Index begin, Index count) const;
    void pull(const Here& at, Index begin, Index count, const Bench& bench) const;
    void fetch_pull(const Here& at, Index begin, Index count) const;

    RulePtr rule_;
    SourceRows<T> sources_;
    ConstantWeights<Real> constants_;
    AveragesOnGpu<T> gpu_;
    Tensor<Real> h_, dh_;   // (N, C)
    Tensor<T> v_, dv_;      // (N, C)
    Tensor<Real> rows_;     // (n_chunks, (1 + kMaxGroup tile) C)
    Tensor<Real> numbers_;  // (n_chunks, bench_numbers)
    Tensor<double> sums_;   // (n_chunks, n_sums)
};

}  // namespace plumb
