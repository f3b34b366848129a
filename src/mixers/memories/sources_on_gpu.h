// SourcesOnGpu: the memory of mixes over depth (sources.h) on a GPU, for weights that are a softmax
// over logits of normed keys, of all channels together, of every source: attnres, attnres_block.
//
// The same rows, walk and schedule as on the CPU; other passes, over all tokens one after another,
// and other places of what belongs to a token:
//
//     read(l)           sum_rows       the running sum of the block, where l-1 goes on with one
//                       sources_read   opens a group: mixes of the old sources for all its reads
//                       sources_read   goes on: the mix that waits for l, and the fresh sources
//     read_backward(l)  sources_spread one reader: D_l, what the sources get from it, du_l
//                       sources_pull   several: D_l, what the sources get from all of them, t
//                       sources_du     du of all of them from t
//
// Sources that complete their block are counted k = 0..K-1. A running sum is of block k too, which
// nobody who reads it reads when it is complete: so its logit lies where that of k would.
#pragma once

#include "core/dispatch.h"
#include "core/gpu.h"
#include "mixers/memories/sources.h"

namespace plumb {

template <class T>
class SourcesOnGpu final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    explicit SourcesOnGpu(SourceRule from);
    static bool carries(const SourceRule& from);
    static constexpr bool kRounds = !std::is_same_v<T, Real>;

    // Of source l: v_0, or the running sum of l's block.
    void stream(const Context& ctx, int l, View<Real> out) const override;

    // Limits of the kernels, in V runs of 8 channels, of 8 warps at most, that a thread has of a
    // row (core/row.cuh): as many as its registers hold without spilling.
    //
    // Reads that share a pass: 5, about the square root of most depths, so that one kernel serves
    // all groups. Their queries lie in shared memory beside the rows on their way: up to C = 2048
    // that fits the 99 KB of a block on any GPU. Sources that pull together: K V <= 8.
    static constexpr int kMostReads = 5;
    static constexpr int most_pulls(int runs) { return runs == 4 ? 2 : 4; }
    static constexpr int runs(Index channels) {
        if (channels <= 256 || channels % 8 != 0) return 1;
        return channels <= 512 || !kRounds ? 2 : 4;
    }
    static constexpr DepthSchedule::Sizes largest_groups(Index channels) {
        return {channels <= 2048 ? kMostReads : 1, most_pulls(runs(channels))};
    }
    static constexpr Index most_channels(Index channels) { return 2048 * runs(channels); }
    static constexpr int kMostRows = 130;  // that a kernel is told of
    // Slices of the tokens whose sums du is made of.
    static Index du_slices(Index tokens) { return std::min<Index>(gpu::partial_rows(tokens), 64); }

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
    static bool fits(const SourceRule& from);
    static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
    const DepthSchedule& schedule() const { return sources_.schedule(); }
    Index tokens() const { return this->shape().tokens; }
    Index channels() const { return this->shape().channels; }
    int rows() const { return this->sublayers() + 1; }
    // k of the block of source i.
    int block(int i) const { return (i + schedule().block_size() - 1) / schedule().block_size(); }
    int blocks() const { return block(this->sublayers()) + 1; }
    bool completes(int i) const { return schedule().completes_block(i); }
    // Whether source i is the sum of the one before it and v_i.
    bool sums(int i) const { return i > 0 && !schedule().starts_block(i); }
    // Of rstd_, where source i's is.
    int rstd_row(int i) const { return completes(i) ? block(i) : blocks() + i; }
    // From the logits of a source to those of the next.
    Index step() const { return rows() * tokens(); }
    // Of source i, reader l, token 0.
    Index pair(int i, int l) const { return block(i) * step() + (l - 1) * tokens(); }
    bool spreads(int l) const { return schedule().pull(l - 1).readers.size() == 1; }

    // sources_read.cu
    void begin(Cuda, const Context& ctx) const;
    void read(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const;
    // sources_backward.cu
    void read_backward(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const;
    void queries_backward(Cuda, const Context& ctx) const;

    RulePtr rule_;
    bool gained_;  // keys have a gain
    SourceRows<T> sources_;
    std::vector<std::vector<Param<Real>>> params_;  // index l - 1: none, or query and gain
    Tensor<Real> carry_;    // (N, C) gradient of the block's running sum, where T rounds
    Tensor<Real> logits_;   // (K, L+1, N)
    Tensor<Real> lse_;      // (L+1, N)
    Tensor<Real> rstd_;     // (rstd_rows, N)
    Tensor<Real> delta_;    // (L+1, N) <h_l, D_l>
    Tensor<Real> t_;        // (most pulls, L+1, N) ds rstd of a pull
    Tensor<Real> u_, du_;   // (L+1, C)
    Tensor<Real> du_part_;  // (rows of parts, C), of spread's blocks or of slices and readers
};

}  // namespace plumb
