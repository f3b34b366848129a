// Streams: the memory of rules that keep K rows X (K, C) a token, all mixed anew at every site:
//
//     h_l = c X_l      X_{l+1} = A [X_l; v_l]      X_1 = K copies of v_0      c (K), A (K, K+1)
//
// M has cut rank K. A rule may ask for dot products at reads alone, of the kinds in stream_dots.h:
// c and A follow together, for a tile of kTile tokens at once (lanes.h).
//
// A site is one pass over tiles. Forward: write l-1, dots, the rule, read, norm. Backward: norm,
// gradients of c and A, the rule's transpose (scalar_program.h), which gives du and the sums over
// tokens for the site's numbers, then
//     dX_l[s] = sum_k A[k,s] dX_{l+1}[k] + c[s] D_l + w^T du + 2 d<x,x>[s] X_l[s] + d<x,1>[s]
// and dv_{l-1} = sum_k A_{l-1}[k,K] dX_l[k]. The vectors' gradients take a second look at the
// chunk's X. Nothing of c and A but their values is kept: backward runs the rule again.
//
// Numbers moved per token and site: forward (2 K + 1) C, backward (K + 2) C in T, 2 K C in Real.
//
// On a GPU: streams_on_gpu.h.
#pragma once

#include "mixers/depth_mixer.h"
#include "mixers/memories/stream_dots.h"
#include "mixers/memories/stream_kernels.h"

namespace plumb {

template <class T>
class Streams final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using Lane = Lanes<Real>;

    explicit Streams(RulePtr rule);

    Index stream_width() const final { return streams_ * channels(); }
    void stream(const Context& ctx, int l, View<Real> out) const final;  // X_{l+1}

private:
    struct Site : StreamSite<Real> {
        Tensor<T> x;              // X_l (N, K, C)
        Tensor<Lane> u, scalars;  // (tiles, numbers)
    };
    // A site and what it needs of the frame.
    struct Open {
        int l;
        const StreamDots& dots;
        T* x;
        const T *before, *v;  // X_{l-1}, v_{l-1}; v_0 alone at l = 1
        View<Lane> u, scalars, scalars_before;
        const Lane* numbers;
        std::array<const Real*, StreamDots::kMostVectors> w;
        std::array<Real, StreamDots::kMostVectors> totals;  // <1, w> as asked for
    };

    void do_declare(Plan& plan, ParamStore<Real>& params) final;
    View<T> do_slot(const Context& ctx, int l) const final {
        return ctx(v_[static_cast<std::size_t>(l)]);
    }
    void do_begin(const Context&) final {}
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) final;
    void do_write(const Context&, int) final {}  // v_l is written when l+1 reads
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) final;
    View<const T> do_write_backward(const Context& ctx, int) final { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) final { return ctx(dv_); }
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const final;
    MovedNumbers moves(DepthCall call, int l) const final;

    int n_scalars(int l) const { return stream_scalars(*rule_, l); }
    int n_projected(int l) const {
        return site(l).dots.m * (site(l).dots.end_to_end ? 1 : streams_);
    }
    Index channels() const { return this->shape().channels; }
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    int parts(const StreamDots& dots) const { return dots.end_to_end ? streams_ : 1; }
    Index packed_size(const StreamDots& dots) const {
        return packed_vecs<Real>(channels()) * kVec<Real> * dots.m;
    }
    void declare_scratch(Plan& plan);
    Open open(const Context& ctx, int l) const;
    // Vector i that streams are projected on, or its gradient.
    Real* vector(const Context& ctx, int l, int i, bool gradient = false) const {
        return site(l).params.vector(ctx, i, channels() * parts(site(l).dots), gradient);
    }
    template <int K>
    void read_tile(const Context& ctx, const Open& s, const Tile& tile,
                   const PreNorm<T>& norm) const;
    template <int K>
    void dots_of_tile(const Open& s, const Tile& tile) const;
    template <int K>
    void read_backward_tile(const Context& ctx, const Open& s, const Tile& tile,
                            const PreNorm<T>& norm) const;
    template <int K>
    void vector_gradients(const Context& ctx, const Open& s, Index begin, Index end,
                          Index chunk) const;
    void add_numbers(const Context& ctx, const Open& s) const;
    void add_vectors(const Context& ctx, const Open& s) const;

    RulePtr rule_;
    int streams_;
    std::vector<Site> sites_;        // index l - 1
    std::vector<Tensor<T>> v_;       // v_0.. (N, C)
    Tensor<T> dv_;                   // (N, C)
    Tensor<Real> dx_;                // (N, K, C): of X after a site, then of X at it
    Tensor<Real> row_;               // (n_chunks, kTile, C): h_l or D_l of a tile
    Tensor<Lane> numbers_;           // p of the site at work
    Tensor<Lane> dscalars_, du_;     // (n_chunks, ..) of a tile; of the chunk's tiles
    Tensor<Lane> sums_;              // (n_chunks, ..) gradients of numbers and totals
    Tensor<Real> packed_, dpacked_;  // vectors; (n_chunks, ..) their gradients
};

}  // namespace plumb
