// Sources: the memory of mixes over depth. Rows are appended and never change; every read is a mix
// of them,
//
//     h_l = sum_i p_{l,i} P_i      over the sources i < l that the rule's c(l) lets it see
//
// A source i = 0..L is P_i: v_0, or the sum of the outputs of i's block up to sublayer i. P_i may
// be read by every later sublayer if it completes its block, else by sublayer i+1 alone. The rule
// says who sees what, its parameters, M. Its weights are of one of two kinds:
//
//     constants   c of the parameters alone (constant_weights.h), by the rule itself
//     keys        logits s_{l,i} = rstd_i <P_i, u_l>, u_l = gain_l * query_l, by head or over all
//                 channels, and p = softmax, sigmoid or sigmoid / sum of them
//
// Keys before values: queries are parameters, so logits are taken when a source is complete. Two
// phases (Algorithm 1 of arXiv:2603.15031): the first read of a group of sites takes the logits of
// all older sources with every query of the group, and mixes them for every query, weights divided
// by their sum, with the logarithm of that sum (lse) as logit: that mix is a source like others to
// the reads that follow, so the merge by online softmax is an ordinary read of few sources.
// Sigmoids are merged by their sums in the same way; without a norm their mix has weight 1, lse =
// 0.
//
// Backward pulls: with D_l = dLoss/dh_l kept for all l and delta_l = <h_l, D_l> (0 where weights
// are not divided), source i needs one pass over its readers:
//
//     ds_l = p_{l,i} slope(s_{l,i}) (<P_i, D_l> - delta_l)      slope: 1, sigmoid: 1 - sigmoid(s)
//     dP_i = sum_l p_{l,i} D_l + rstd_i (sum_l ds_l u_l - xhat_i sum_l ds_l s_{l,i} / C)
//     du_l += sum_tokens ds_l xhat_i
//
// and the same two phases with sources for queries and D for sources (depth_schedule.h). Constants
// need dw_{l,i} = sum_tokens <P_i, D_l> in place of the rest.
//
// Flops per token, source and reader: 4 C forward, 8 C backward; constants 2 C and 4 C. Kept:
// sources (source_rows.h says what else lies in their memory), D_l in the memory of the pre-norm's
// xhat of site l from read_backward(l) on, logits. Numbers moved: DepthSchedule counts them.
#pragma once

#include "mixers/memories/constant_weights.h"
#include "mixers/memories/source_rows.h"
#include "mixers/mixers.h"

#include <optional>

namespace plumb {

// How keys become weights.
struct SourceKeys {
    enum class Weights : std::uint8_t { softmax, sigmoid, sigmoid_norm };

    Weights weights = Weights::softmax;
    bool gain = true;           // the rule's vectors at a site are query and gain, else query alone
    bool normed = true;         // rstd, else 1
    int heads = 1;              // groups of channels with weights of their own
    bool norm_by_head = false;  // rstd over the channels of a head, else over all
};

// A rule whose rows are the sources. Without keys, no dot product enters its c.
struct SourceRule {
    RulePtr rule;
    int block_size = 1;
    std::optional<SourceKeys> keys;
    DepthSchedule::Sizes groups{};  // of sites and of sources; 0: those that move the fewest rows
};
// Who sees what, of the rule; groups of at most so many.
DepthSchedule schedule_of(const SourceRule& from,
                          DepthSchedule::Sizes most = {DepthSchedule::kMaxGroup,
                                                       DepthSchedule::kMaxGroup});

template <class T>
class Sources final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    explicit Sources(SourceRule from);

    // Of source l: v_0, or the running sum of l's block.
    void stream(const Context& ctx, int l, View<Real> out) const override;
    Index matrix_channels() const override { return rule_->groups(); }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    View<T> do_slot(const Context& ctx, int l) const override { return ctx(sources_.tensor(l)); }
    void do_begin(const Context& ctx) override;
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context&, int) override {}  // the next read finishes the source
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int l) override {
        return ctx(sources_.tensor(sources_.place(l)));
    }
    View<const T> do_begin_backward(const Context& ctx) override;
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall call, int l) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    static constexpr Index kStep = SourceRows<T>::kStep;
    static constexpr int kMaxGroup = DepthSchedule::kMaxGroup;
    static constexpr Index kTile = 16;            // tokens between two additions to du
    static constexpr Real kUnseen = Real(-1e30);  // a logit whose weight is 0, with - 1

    // One chunk's rows of C numbers and coefficients, in L1 and L2.
    struct Bench {
        Real* d;      // D of a token
        Real* out;    // (kMaxGroup, C) forward: mixes of the group's queries; backward: gradients
        Real* p;      // (kMaxGroup, width) weights of a token and head
        Real* s;      // (kMaxGroup, width) logits
        Real* t;      // (H, kTile * kMaxGroup, width) ds rstd of a tile; forward: weights
        Real* along;  // (kMaxGroup, H) sum_l ds_l s_l rstd / C
        Real* du;     // (L+1, C) partial sums
        double* dw;   // (kMaxGroup, width) partial sums of constants
    };
    // Logits lie by group of sites, then token and head: a row of the group's queries for every
    // source that any of them sees, and one for the partial sum that each query reads alone. So a
    // read and the pulls touch few cache lines of a token.
    struct GroupLogits {
        Index offset, n_rows, queries;
        int first;
        Index head, token;  // numbers from one to the next
    };
    // Where a pull finds kStep logits of a source, and where it wants them in bench.s.
    struct Piece {
        Index offset, token, head;  // offset -1: nobody sees that source there
        Index to;
    };
    // A frame's memory, looked up once a site.
    struct Memory {
        T* source;
        Real *logits, *lse, *delta, *rstd, *u, *carry, *du_partial, *bench_rows, *bench_numbers;
        double* dw_partial;
        const typename DepthMixer<T>::LeftNorm* d;  // D_l: the xhat at [l - 1]
    };

    static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
    const DepthSchedule& schedule() const { return sources_.schedule(); }
    Index channels() const { return this->shape().channels; }
    Index rows() const { return this->sublayers() + 1; }
    Index width() const { return rows() + kStep; }
    Index heads() const { return heads_; }
    Index head_channels() const { return head_channels_; }
    Index norms() const { return norms_; }
    bool divides() const { return keys_->weights != SourceKeys::Weights::sigmoid; }

    Memory memory(const Context& ctx) const;
    Bench bench(const Memory& m, Index chunk) const;
    Index bench_numbers() const { return kMaxGroup * ((2 + heads() * kTile) * width() + heads()); }
    void plan_logits();
    void plan_pieces();
    void declare_keys(Plan& plan);

    T* token(const Memory& m, Index n) const { return m.source + n * channels(); }
    T* source(const Memory& m, int i, Index n) const { return sources_.row(token(m, n), i); }
    const GroupLogits& group(int l) const { return groups_[at(l - 1)]; }
    Real* logits(const Memory& m, Index n, Index head, int l) const {
        const GroupLogits& g = group(l);
        return m.logits + g.offset + n * g.token + head * g.head + (l - g.first);
    }
    // s_{l,i} of token n, where anybody in l's group sees i.
    Real* logit(const Memory& m, Index n, Index head, int i, int l) const {
        const GroupLogits& g = group(l);
        return m.logits + logit_offsets_[at((l - 1) * rows() + i)] + n * g.token + head * g.head;
    }
    Real* lse(const Memory& m, Index n, Index head) const {
        return m.lse + (n * heads() + head) * width();
    }
    Real* delta(const Memory& m, Index n, Index head) const {
        return m.delta + (n * heads() + head) * width();
    }
    Real* rstd(const Memory& m, Index n, Index head) const {
        return m.rstd + (n * norms() + std::min(head, norms() - 1)) * rows();
    }
    const Real* u(const Memory& m, int l, Index head) const {
        return m.u + (l - 1) * channels() + head * head_channels();
    }

    // sources_forward.cpp
    // Logits of source i with n readers from l on, where their weights don't depend on them: not
    // seen; or all that sublayer 1 has, which asks for nothing, where a sigmoid must be 1.
    void mask(Real* s, Index n, int l, int i) const {
        for (Index q = 0; q < n; ++q)
            if (!schedule().sees(l + static_cast<int>(q), i)) s[q] = kUnseen;
        if (l == 1 && !divides()) s[0] = -kUnseen;
    }
    void finish(const Memory& m, Index n, int i) const;
    void take_logits(const Memory& m, Index n, int i, const T* row) const;
    void open_group(const Memory& m, Index n, int l, const Bench& bench) const;
    void weigh_old(const Memory& m, Index n, Index head, int l, Real* w) const;
    void merge(const Memory& m, Index n, int l, const Bench& bench) const;
    void weigh_fresh(const Memory& m, Index n, Index head, int l, Real* w) const;
    void fetch_read(const Memory& m, Index n, int l, const PreNorm<T>& norm) const;
    // sources_backward.cpp
    void keep_delta(const Memory& m, Index n, int l, const PreNorm<T>& norm, Real along,
                    const Real* d) const;
    void pull(const Memory& m, Index n, Index tile_token, int l, const Bench& bench) const;
    void pull_keys(const Memory& m, Index n, Index tile_token, int l, Index head,
                   const Bench& bench) const;
    void score_gradients(const Memory& m, Index n, int l, Index head, Real* t,
                         const Bench& bench) const;
    void add_tile(const Memory& m, Index tile, Index count, int l, const Bench& bench) const;
    void pull_constants(const Memory& m, Index n, int l, const Bench& bench) const;
    void store_gradient(const Memory& m, Index n, int i, bool newest, const Real* along,
                        Real* out) const;
    void fetch_pull(const Memory& m, Index n, int l, const PreNorm<T>& norm) const;
    void queries_backward(const Context& ctx) const;

    RulePtr rule_;
    std::optional<SourceKeys> keys_;
    Index heads_, head_channels_, norms_, norm_channels_;
    SourceRows<T> sources_;
    ConstantWeights<Real> constants_;
    std::vector<std::vector<Param<Real>>> params_;  // index l - 1, as the rule lists them
    std::vector<GroupLogits> groups_;               // index l - 1
    std::vector<Index> logit_offsets_;              // (L+1, L+1) s_{l,i} of token 0; -1: none
    std::vector<std::vector<Piece>> pieces_;        // index l - 1, of the pull of source l - 1
    Index n_logits_ = 0;
    bool masked_ = false;         // some later sublayer does not see a complete source
    Tensor<Real> carry_;          // (N, C) gradient of the block's running sum, where T rounds
    Tensor<Real> logits_;         // of each group (N, H, n_rows, queries), and kStep more
    Tensor<Real> lse_, delta_;    // (N, H, width) column l - 1
    Tensor<Real> rstd_;           // (N, norms, L+1) column i
    Tensor<Real> u_, du_;         // (L+1, C) row l - 1
    Tensor<Real> du_partial_;     // (n_chunks, (L+1) C)
    Tensor<double> dw_partial_;   // (n_chunks, kMaxGroup width)
    Tensor<Real> bench_rows_;     // (n_chunks, 1 + kMaxGroup, C)
    Tensor<Real> bench_numbers_;  // (n_chunks, bench_numbers)
};

}  // namespace plumb
