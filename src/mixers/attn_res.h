// Attention Residuals (arXiv:2603.15031): softmax attention over depth.
//
//   full  (Eq. 2-4)  h_l = sum_{i<l} p_{l,i} v_i,  p_{l,.} = softmax_i <w_l, RMSNorm(v_i; g_l)>
//   block (Eq. 5-6)  the same over [b_0 = v_0, completed block sums b_n, running partial sum]
//
// Both are one class. A source i = 0..L is P_i: v_0, or the sum of the outputs of i's block up to
// sublayer i. P_i is read by every later sublayer if it completes its block, else by sublayer i+1
// alone. Full is block size 1. Values are raw; keys are normed; no 1/sqrt(d) (paper-notes.md).
//
// Weights before values: queries are parameters, s_{l,i} = rstd_i <P_i, u_l> with u_l = g_l * w_l.
// Two phases (Algorithm 1): the first read of a group of sites takes the logits of all older
// sources with every query of the group, and mixes them for every query, normalised, with its
// log-sum-exp as logit: that mix is a source like others to the reads that follow, so the merge by
// online softmax is an ordinary read of few sources. It waits in the memory of v_l, which F_l
// writes only after l has read.
//
// Backward pulls: with D_l = dLoss/dh_l kept for all l and delta_l = <h_l, D_l>, source i needs one
// pass over its readers, p_{l,i} = exp(s_{l,i} - lse_l):
//
//   ds_l = p_{l,i} (<P_i, D_l> - delta_l)
//   dP_i = sum_l p_{l,i} D_l + rstd_i (sum_l ds_l u_l - xhat_i sum_l ds_l s_{l,i} / C)
//   du_l += sum_tokens ds_l xhat_i
//
// and the same two phases with sources for queries and D for sources (depth_schedule.h).
//
// Flops per token, source and reader: 4 C forward, 8 C backward. Kept: sources, D (in the memory of
// the pre-norm's xhat), logits. There is no parameter for l = 1, whose only source is v_0.
#pragma once

#include "mixers/depth_schedule.h"
#include "mixers/mixers.h"

namespace plumb {

template <class T>
class AttnRes final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    AttnRes(const MixerShape& shape, const DepthSchedule& schedule, bool key_gain);

    // Of source l: v_0, or the running sum of l's block.
    void stream(const Context& ctx, int l, Index n, Real* out) const override;

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    View<T> do_slot(const Context& ctx, int l) const override { return ctx(source_[at(l)]); }
    void do_begin(const Context& ctx) override;
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context&, int) override {}  // the next read finishes the source
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int l) override {
        return ctx(source_[at(place(l))]);
    }
    View<const T> do_begin_backward(const Context& ctx) override;
    void do_depth_matrix(const Context& ctx, Index token, View<Real> m) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    // Loops over readers or queries run in steps of kStep, past the end of what counts.
    static constexpr Index kStep = 8;
    static_assert(kStep >= DepthSchedule::kMaxGroup);
    // Tokens between two additions to du.
    static constexpr Index kTile = 16;

    // One chunk's rows of C numbers and coefficients, in L1 and L2.
    struct Bench {
        Real* d;    // D of a token
        Real* out;  // (kMaxGroup, C) forward: mixes of the group's queries; backward: gradients
        Real* p;    // (kMaxGroup, width) weights of a token
        Real* s;    // (kMaxGroup, width) logits of a token
        Real* t;    // (kTile * kMaxGroup, width) ds rstd of a tile; forward: weights
        Real* du;   // (L+1, C) partial sums
    };
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    Index rows() const { return this->sublayers() + 1; }
    Index width() const { return rows() + kStep; }
    static constexpr Index kBenchRows = 1 + DepthSchedule::kMaxGroup;
    Index bench_numbers() const { return width() * (kTile + 2) * DepthSchedule::kMaxGroup; }
    // Logits lie by group of sites, then token: a row of the group's queries for every complete
    // source, and one for the partial sum that each query reads alone. So a read and the pulls
    // touch few cache lines of a token.
    struct GroupLogits {
        Index offset, n_rows, queries;
        int first;
    };
    // A frame's memory, looked up once a site. Source i is `offset_[i]` behind source 0.
    struct Memory {
        T* source;
        Real *logits, *lse, *delta, *rstd, *u, *carry, *du_partial, *bench_rows, *bench_numbers;
        const typename DepthMixer<T>::LeftNorm* d;  // D_l: the xhat at [l - 1]
    };
    Memory memory(const Context& ctx) const;
    Bench bench(const Memory& m, Index chunk) const;
    T* source(const Memory& m, int i, Index n) const {
        return m.source + offset_[at(i)] + n * this->shape().channels;
    }
    // s_{l,i} at token n.
    Real* logit(const Memory& m, Index n, int i, int l) const {
        const GroupLogits& g = groups_[at(l - 1)];
        const Index row = schedule_.completes_block(i) ? schedule_.rank(i) : g.n_rows - 1;
        return m.logits + g.offset + (n * g.n_rows + row) * g.queries + (l - g.first);
    }
    Real* lse(const Memory& m, Index n) const { return m.lse + n * width(); }
    Real* delta(const Memory& m, Index n) const { return m.delta + n * width(); }
    Real* rstd(const Memory& m, Index n) const { return m.rstd + n * rows(); }
    const Real* u(const Memory& m, int l) const { return m.u + (l - 1) * this->shape().channels; }
    // Which source's memory the mix of the sources older than l's group waits in for read(l), and
    // which one gathers source i's gradient. Behind the last source there is a spare.
    int mix(int l) const { return l; }
    int spare() const { return this->sublayers() + 1; }
    int place(int i) const { return schedule_.place(i) < 0 ? spare() : schedule_.place(i); }
    void finish(const Memory& m, Index n, int i) const;
    void open_group(const Memory& m, Index n, int l, const Bench& bench) const;
    void merge(const Memory& m, Index n, int l, const Bench& bench) const;
    void fetch_read(const Memory& m, Index n, int l, const PreNorm<T>& norm) const;
    void fetch_pull(const Memory& m, Index n, int l, const PreNorm<T>& norm) const;
    void pull(const Memory& m, Index n, Index tile_token, int l, const Bench& bench) const;
    void store_gradient(const Memory& m, Index n, int i, bool newest, Real along, Real* out) const;
    void queries_backward(const Context& ctx) const;

    DepthSchedule schedule_;
    bool key_gain_;
    std::vector<GroupLogits> groups_;  // index l - 1
    Index n_logits_ = 0;
    std::vector<Param<Real>> query_, gain_;  // index l - 2
    std::vector<Tensor<T>> source_;          // P_i (N, C), i = 0..L, and the spare
    std::vector<Index> offset_;              // numbers from source 0
    std::vector<std::vector<Index>> fresh_;  // index l - 1: offsets of the read's mix and fresh
    Tensor<Real> carry_;          // (N, C) gradient of the block's running sum, where T rounds
    Tensor<Real> logits_;         // of each group (N, n_rows, queries), and kStep more
    Tensor<Real> lse_, delta_;    // (N, width) column l - 1
    Tensor<Real> rstd_;           // (N, L+1) column i
    Tensor<Real> u_, du_;         // (L+1, C) row l - 1
    Tensor<Real> du_partial_;     // (n_chunks, (L+1) C)
    Tensor<Real> bench_rows_;     // (n_chunks, kBenchRows, C)
    Tensor<Real> bench_numbers_;  // (n_chunks, bench_numbers)
};

}  // namespace plumb
