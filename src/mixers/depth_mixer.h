// DepthMixer: the residual connection as one interchangeable part.
//
// Per token, with v_0 the embedding and v_l the output of sublayer l, every residual scheme
// computes what sublayer l reads as a mix over depth,
//
//     h_l = sum_{i<l} M[l,i] v_i        l = 1..L+1   (row L+1 is what the final norm reads)
//
// and differs from the others only in how the row M[l,.] comes about. A mixer is a walk along
// depth:
//
//     v_0 -> slot(0); begin()            backward, the exact mirror, with D_l = dLoss/dh_l:
//     for l = 1..L:                          read_backward(L+1, its pre-norm)
//         read(l, its pre-norm): x_l         for l = L..1:
//         F_l(x_l) -> slot(l)                    dv_l = write_backward(l)
//         write(l)                               F_l'(dv_l) -> dx_l
//     read(L+1, the final norm)                  read_backward(l, its pre-norm with dx_l)
//                                            dv_0 = begin_backward()
//
// A mixer may read for the queries, keys and values of an attention apart: then h_l, its pre-norm
// and row l of M are of a way, and the sublayer's input is the normed reads of all ways.
//
// The caller writes outputs straight into the mixer's memory (slot). Each read ends with the norm
// in front of the sublayer, each read_backward starts with that norm's backward, token by token
// (ops/pre_norm.h): h_l and D_l need not exist as tensors, and a mixer can do a whole site (write
// l-1, read l, norm) in one pass over its memory. Views that write_backward returns are valid until
// the next call. Backward adds to parameter gradients and overwrites everything else.
//
// A mixer keeps handles alone (core/handle.h); what it knows of a pass is in the frame of ctx, so
// that walks in several frames may take turns.
//
// T is the storage type of activations (float, double, Bf16), Real = RealOf<T> what is computed in;
// parameters and per-token scalars are Real.
//
// The calls of the walk are not virtual: order, time and bytes (core/profile.h) are kept here, once
// for all mixers; a memory says in `moves` what its passes move.
#pragma once

#include "core/context.h"
#include "core/params.h"
#include "mixers/layout.h"
#include "mixers/mixer_shape.h"
#include "ops/pre_norm.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace plumb {

// The calls of a walk.
enum class DepthCall : std::uint8_t {
    begin,
    read,
    write,
    read_backward,
    write_backward,
    begin_backward
};

// Numbers a token that a call reads and writes, the norm's not counted: of T, and of Real.
struct MovedNumbers {
    Index stored = 0, real = 0;
};

// Queries, keys, values.
inline constexpr int kMostWays = 3;

// M of the last forward in the frame of ctx, whoever computed it.
template <class Real>
class DepthMatrix {
public:
    // m (L+1, L+1, G) of a token, row l-1, column i, zero for i >= l: of a way of the sublayers
    // that read in several. To be asked by any number of threads.
    using OfToken = std::function<void(Index token, View<Real> m, int way)>;

    explicit DepthMatrix(const MixerShape& shape) : shape_(shape) {}
    virtual ~DepthMatrix() = default;
    DepthMatrix(const DepthMatrix&) = delete;
    DepthMatrix& operator=(const DepthMatrix&) = delete;

    // Groups of channels with an M of their own: 1, or C where gates act per channel. Channel c is
    // in group c G / C.
    virtual Index matrix_channels() const { return 1; }
    // Reads of sublayer l = 1..L+1: 1, or kMostWays.
    virtual int ways(int /*l*/) const { return 1; }
    int most_ways() const;  // of any sublayer
    // Of the tokens of the last forward, while it is the last. What is kept of them is looked up,
    // and fetched from a device, here: once for all tokens.
    OfToken matrices(const Context& ctx) const;
    const MixerShape& shape() const { return shape_; }

protected:
    // m is zero when what this returns is called.
    virtual OfToken do_matrices(const Context& ctx) const = 0;

private:
    MixerShape shape_;
};

template <class T>
class DepthMixer : public DepthMatrix<RealOf<T>> {
public:
    using Real = RealOf<T>;
    using PreNorms = std::span<const PreNorm<T>>;  // of a site, one for each way
    using DepthMatrix<Real>::DepthMatrix;
    using DepthMatrix<Real>::shape;

    // Declares tensors and parameters; once, before frames are made and the store allocates.
    void declare(Plan& plan, ParamStore<Real>& params);

    // The walk. Each call checks its place in the order and throws InternalError if it is wrong.
    View<T> slot(const Context& ctx, int l) const;  // (N, C), l = 0..L
    void begin(const Context& ctx);
    void read(const Context& ctx, int l, PreNorms norms);  // h_l -> norm_put
    void read(const Context& ctx, int l, const PreNorm<T>& norm) { read(ctx, l, one(norm)); }
    void write(const Context& ctx, int l);
    void read_backward(const Context& ctx, int l, PreNorms norms);  // D_l <- norm_gradient
    void read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
        read_backward(ctx, l, one(norm));
    }
    View<const T> write_backward(const Context& ctx, int l);  // (N, C)
    View<const T> begin_backward(const Context& ctx);         // (N, C)

    // The running state after write(l) that "norm by depth" measures: out (N, stream_width), C or
    // K*C numbers a token. To be asked for between read(l+1) and read(l+2).
    virtual Index stream_width() const { return shape().channels; }
    virtual void stream(const Context& ctx, int l, View<Real> out) const = 0;

protected:
    static PreNorms one(const PreNorm<T>& norm) { return PreNorms(&norm, 1); }
    // Where read(l) left its (first) pre-norm's xhat and rstd (none: raw), for backward at other
    // sites.
    struct LeftNorm {
        T* xhat = nullptr;
        const Real* rstd = nullptr;
    };

    virtual void do_declare(Plan& plan, ParamStore<Real>& params) = 0;
    virtual View<T> do_slot(const Context& ctx, int l) const = 0;
    virtual void do_begin(const Context& ctx) = 0;
    virtual void do_read(const Context& ctx, int l, const PreNorm<T>& norm) = 0;
    virtual void do_write(const Context& ctx, int l) = 0;
    virtual void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) = 0;
    virtual View<const T> do_write_backward(const Context& ctx, int l) = 0;
    virtual View<const T> do_begin_backward(const Context& ctx) = 0;
    // Of the call at l.
    virtual MovedNumbers moves(DepthCall call, int l) const = 0;
    // Of a mixer of several ways, instead of the two that take one norm.
    virtual void do_read_ways(const Context& ctx, int l, PreNorms norms) {
        do_read(ctx, l, norms.front());
    }
    virtual void do_read_backward_ways(const Context& ctx, int l, PreNorms norms) {
        do_read_backward(ctx, l, norms.front());
    }

    // Index l - 1.
    const LeftNorm* left_norms(const Context& ctx) const { return ctx(walk_).norms.data(); }
    const Layout& layout() const { return shape().layout; }
    int sublayers() const { return shape().sublayers(); }
    Shape token_shape() const { return {{'N', shape().tokens}, {'C', shape().channels}}; }
    std::string site(int l) const { return layout().name(l) + ".mixer."; }

private:
    using Call = DepthCall;
    // How far the walk in a frame has come.
    struct Walk {
        Call next = Call::begin;
        int l = 0;
        std::vector<LeftNorm> norms;
    };
    Walk& step(const Context& ctx, Call now, int l, Call then, int then_l) const;

    FrameState<Walk> walk_;
};

}  // namespace plumb
