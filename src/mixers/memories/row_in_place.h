// RowInPlace: what mixers that change one row a token in place have in common, whatever its
// weights: the rows and the walk (site by site, forward and backward, in the order of
// depth_mixer.h), and what is done to the rows of a token.
//
//     h_{l+1} = a_0 h_l + a_1 v_l,    h_1 = v_0
//
// h and what backward passes on from site to site (dh) are Real, one row a token for all sites: h_l
// stays as its pre-norm keeps it, v_l in T. Tensors that share memory:
//
//     slot(0) is slot(1)     read(1) uses v_0 up before sublayer 1 writes v_1
//     slot(l), all l         unless backward reads v_l: read(l+1) uses it up
//     dv is dh               where asked for, T being Real: what is passed on is dv (a_0 = a_1 = 1)
#pragma once

#include "mixers/depth_mixer.h"
#include "ops/depth_mix.h"
#include "ops/reduce.h"

namespace plumb {

// A token's rows of C numbers at a site's backward: all of a pass that row operations need.
template <class T>
struct RowGradient {
    using Real = RealOf<T>;
    Index c;
    const T *y, *v;  // h_l = h_per_y y; v of the write below, null: not wanted
    Real h_per_y;
    Real *x, *dh;             // D_l, then dLoss/dh_l; what is passed on
    T* dv;                    // may be dh
    const Real* q = nullptr;  // null: the site takes no dots
    Real* dq = nullptr;
};

template <class T>
class RowInPlace : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using DepthMixer<T>::DepthMixer;

    void stream(const Context& ctx, int, View<Real> out) const override {
        copy<Real>(ctx, ctx(h_), out);
    }

protected:
    // keeps_v: backward reads v_l. shares_dv: dv is dh.
    void declare_rows(Plan& plan, bool keeps_v, bool shares_dv);
    View<T> do_slot(const Context& ctx, int l) const override {
        return ctx(v_[std::min(at(std::max(l, 1)), v_.size() - 1)]);
    }
    void do_begin(const Context&) override {}
    void do_write(const Context&, int) override {}  // v_l joins when l+1 reads
    View<const T> do_write_backward(const Context& ctx, int) override { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) override { return ctx(dv_); }

    // A frame's memory, looked up once a site l = 1..L+1.
    struct Rows {
        int l;
        View<T> v;  // v_{l-1}
        View<Real> h, dh, d;
        View<T> dv;
    };
    Rows rows(const Context& ctx, int l) const;
    // Opens a token's backward: D_l from the norm, nothing passed on to the last read.
    RowGradient<T> gradient(const Rows& rows, const PreNorm<T>& norm, Index n) const;

    static std::size_t at(int l) { return static_cast<std::size_t>(l - 1); }
    Index channels() const { return this->shape().channels; }
    Index tokens() const { return this->shape().tokens; }
    Index chunks() const { return n_chunks(tokens()); }

    std::vector<Tensor<T>> v_;  // (N, C) of l = 1..L, or one
    Tensor<Real> h_, dh_;       // (N, C); dh: what is passed on
    Tensor<Real> d_;            // (n_chunks, C), a row
    Tensor<T> dv_;              // (N, C)
};

// h = a0 h + a1 v over c numbers.
template <class T>
void row_write(RealOf<T>* h, const T* v, RealOf<T> a0, RealOf<T> a1, Index c);
// The same with a row of weights a (2, C).
template <class T>
void row_write(RealOf<T>* h, const T* v, const RealOf<T>* a, Index c);
// The first again; returns hh = <h, h>, hq = <h, q> of the new h.
template <class Real>
struct RowQuery {
    Real hh, hq;
};
template <class T>
RowQuery<RealOf<T>> row_write(RealOf<T>* h, const T* v, RealOf<T> a0, RealOf<T> a1,
                              const RealOf<T>* q, Index c);

template <class Real>
struct RowDots {
    Real h, v;
};
// x += dh + 2 du_hh h_l + du_hq q, dq += du_hq h_l. Returns <h_l, x>, <v, x> where there is a v.
template <class T>
RowDots<RealOf<T>> row_total(const RowGradient<T>& r, RealOf<T> du_hh, RealOf<T> du_hq);

// The same in one go with dv = a1 x, dh = a0 x: x itself is not left.
template <class T>
RowDots<RealOf<T>> row_backward(const RowGradient<T>& r, RealOf<T> du_hh, RealOf<T> du_hq,
                                RealOf<T> a1, RealOf<T> a0);
// dv and dh as sums of x, y and v.
template <class Real>
struct RowWeights {
    Real dv[3], dh[3];
};
template <class T>
void row_passed_on(const RowGradient<T>& r, const RowWeights<RealOf<T>>& weights);
// dv = a1 x, dh = a0 x with a row of weights a (2, C), of which da (2, C) += <h_l, x>, <v, x> of
// each channel.
template <class T>
void row_passed_on(const RowGradient<T>& r, const RealOf<T>* a, RealOf<T>* da);

}  // namespace plumb
