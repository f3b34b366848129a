// Base of the mixers that carry K streams X_l (K, C) per token: Hyper-Connections and mHC.
//
//     h_l = sum_s pre[s] X_l[s]      X_{l+1}[k] = sum_s res[s,k] X_l[s] + post[k] v_l
//     X_1 = K copies of v_0          h_{L+1} = sum_s pre[s] X_{L+1}[s]
//
// M[l,i] = pre_l^T (product of res^T) post_i has cut rank K. The coefficients [pre | post | res] of
// a site come from numbers u = w X_l that X_l is projected on; a subclass has the weights w and
// says how the coefficients follow from u, and how their gradient goes back to u.
//
// A site is one pass over tiles of kTile tokens. Forward: write l-1, project, coefficients, read,
// norm. Backward: norm, gradients of coefficients and of u, then
//     dX_l[s] = sum_k res[s,k] dX_{l+1}[k] + pre[s] D_l + w^T du + a[s] X_l[s] + b[s]
// (a, b: the mean and rms inside the coefficients) and dv_{l-1} = sum_k post_{l-1}[k] dX_l[k].
// Numbers moved per token and site: forward (2 K + 1) C, backward (K + 2) C in T, 2 K C in Real.
#pragma once

#include "mixers/mixers.h"
#include "mixers/stream_kernels.h"

#include <Eigen/Core>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // false alarms of gcc 12 on AVX-512 intrinsics
#endif

namespace plumb {

MixerOption streams_option();
// Throws UsageError unless 1 <= streams <= kMaxStreams.
void check_streams(long streams);

// A number of every token of a tile.
template <class Real>
using Lanes = Eigen::Map<Eigen::Array<Real, kTile, 1>>;
template <class Real>
using ConstLanes = Eigen::Map<const Eigen::Array<Real, kTile, 1>>;

// Tokens begin..begin+n-1 of a chunk; index counts all tiles. Lanes from n on hold no token: they
// are finite and their gradients are zero.
struct Tile {
    Index begin;
    int n;
    Index index, chunk;
};

template <class T>
class StreamMixer : public DepthMixer<T> {
public:
    using Real = RealOf<T>;

    StreamMixer(const MixerShape& shape, int streams);

    Index stream_width() const final { return streams_ * this->shape().channels; }
    void stream(const Context& ctx, int l, Index n, Real* out) const final;  // X_{l+1}

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    // Numbers u of site l: K*C numbers of a token on m rows of K*C weights or, if shared, each of
    // the K streams on the same m rows of C weights (u: K times m numbers). m = 0: none.
    struct Projection {
        int m = 0;
        bool shared = false;
    };
    virtual Projection projection(int l) const = 0;
    virtual const Real* weights(const Context& ctx, int l, int i) const = 0;  // row i
    virtual Real* dweights(const Context& ctx, int l, int i) const = 0;

    // u(l) (as projected) -> coef(l), the pre part only at L+1; may change u(l) for backward.
    virtual void coefficients(const Context& ctx, int l, const Tile& tile) const = 0;
    // dcoef (n_coef, kTile) and u(l) -> du, da, db of site_gradient(), and sums into partial(l).
    struct CoefficientGradient {
        const Real* dcoef;
        Real *du, *a, *b;  // (u numbers, kTile), (K, kTile), (K, kTile)
    };
    virtual void coefficients_backward(const Context& ctx, int l, const Tile& tile,
                                       const CoefficientGradient& g) const = 0;
    // Parameters beside the weights: n_partials() sums over tokens -> their gradients.
    virtual int n_partials() const = 0;
    virtual void add_partials(const Context& ctx, int l, const Real* sums) const = 0;

    int streams() const { return streams_; }
    int n_coef() const { return streams_ * (streams_ + 2); }
    const T* x(const Context& ctx, int l) const { return ctx(x_[index(l)]).data; }  // (N, K, C)
    Real* coef(const Context& ctx, int l, Index tile) const {
        return at(ctx(coef_[index(l)]), tile);
    }
    Real* u(const Context& ctx, int l, Index tile) const { return at(ctx(u_[index(l)]), tile); }
    // (n_partials, kTile) of this chunk, to add to.
    Real* partial(const Context& ctx, Index chunk) const { return at(ctx(partial_), chunk); }
    Index n_tiles() const { return (this->shape().tokens + kTile - 1) / kTile; }
    // A tensor of `numbers` numbers per token, lane by lane.
    Shape lanes(Index numbers) const { return {{'N', n_tiles()}, {'M', numbers}, {'T', kTile}}; }
    // Block i of a tensor whose first axis counts tiles or chunks.
    static Real* at(const View<Real>& x, Index i) { return x.data + i * (x.count() / x.extent(0)); }

private:
    static constexpr Index kTilesPerChunk = kTokenChunk / kTile;
    static_assert(kTokenChunk % kTile == 0);

    View<T> do_slot(const Context& ctx, int l) const override { return ctx(v_[index(l + 1)]); }
    void do_begin(const Context&) override {}
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    void do_write(const Context&, int) override {}  // v_l is written when l+1 reads
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_write_backward(const Context& ctx, int) override { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) override { return ctx(dv_); }
    void do_depth_matrix(const Context& ctx, Index token, View<Real> m) const override;

    static std::size_t index(int l) { return static_cast<std::size_t>(l - 1); }
    void declare_scratch(Plan& plan);
    template <class F>
    void for_tiles(Index begin, Index end, Index chunk, F&& f) const;
    template <int K>
    void read_tile(const Context& ctx, int l, const Tile& tile, const PreNorm<T>& norm) const;
    template <int K>
    void read_backward_tile(const Context& ctx, int l, const Tile& tile,
                            const PreNorm<T>& norm) const;
    template <int K>
    void project_tile(const Context& ctx, int l, const Tile& tile) const;
    template <int K>
    void weight_gradients(const Context& ctx, int l, Index begin, Index end, Index chunk) const;
    void reduce(const Context& ctx, int l) const;
    std::array<const Real*, kMaxStreams*(kMaxStreams + 2)> weight_rows(const Context& ctx,
                                                                       int l) const;
    int parts(const Projection& p) const { return p.shared ? 1 : streams_; }
    Index packed_size(const Projection& p) const {
        return packed_vecs<Real>(this->shape().channels) * kVec<Real> * p.m;
    }

    int streams_;
    std::vector<Tensor<T>> x_, v_;        // X_1.. (N, K, C); v_0.. (N, C)
    std::vector<Tensor<Real>> coef_, u_;  // index l - 1, lanes of n_coef and of u
    Tensor<T> dv_;                        // (N, C)
    Tensor<Real> dx_;                     // (N, K, C)
    Tensor<Real> row_;                    // (n_chunks, kTile, C): h_l or D_l of a tile
    Tensor<Real> dcoef_, du_, ab_;        // lanes of a tile per chunk; du of all tiles
    Tensor<Real> packed_, dpacked_;       // weights; (n_chunks, ..) their gradients
    Tensor<Real> partial_;                // (n_chunks, n_partials, kTile)
};

}  // namespace plumb
