// One head of one sequence, in the numbers that are computed with: what ops/attention_cpu.cpp makes
// of rows of the packed projection, and what the kernels of attention (ops/attention_kernel.h)
// compute on.
#pragma once

#include "ops/attention.h"

namespace plumb {

// Where rows of D numbers start and how far apart they are.
template <class T>
struct Rows {
    T* data;
    Index stride;
    T* row(Index t) const { return data + t * stride; }
};

// ---- any type and head size: products of matrices (ops/attention_generic.cpp) -------------------

template <class Real>
struct GenericHead {
    Index context, head_dim;  // T, D
    const Real *q, *k;        // (T, D), normed and turned; q scaled
    Rows<const Real> v;       // (T, D)
    const Dropout& dropout;
    Index mask_row;       // of query 0
    Real *p, *dp, *tile;  // scratch: (kAttentionTile, T) twice, (kAttentionTile, D)
};

// out (T, D) and lse (T): overwritten.
template <class T, class Real>
void generic_forward(const Context& ctx, const GenericHead<Real>& a, Rows<T> out, Real* lse);

// dq (T, D) overwritten, dk and dv (T, D) += (several query heads may share them): gradients of q
// and k as they lie there.
template <class T, class Real>
void generic_backward(const Context& ctx, const GenericHead<Real>& a, Rows<const T> out,
                      Rows<const Real> dout, const Real* lse, Real* dq, Real* dk, Real* dv);

// ---- in tiles: head sizes that are multiples of 16, numbers in float ----------------------------

// Rows of a head are allocated in multiples of this; those from T on are zero.
inline constexpr Index kHeadRows = 64;
inline constexpr Index kHeadArrays = 7;          // of rows: q, k, v, dout, dq, dk, dv
inline constexpr Index kLargestTiledHead = 128;  // D
// Inlined in files for more instructions than others have (ops/attention_lanes.h).
[[gnu::always_inline]] inline Index head_rows(Index context) {
    return (context + kHeadRows - 1) / kHeadRows * kHeadRows;
}

struct FloatHead {
    Index context, head_dim;        // T, D
    const float *q, *k, *v, *dout;  // (T, D), normed and turned; q scaled; dout: backward
    const Dropout* dropout;         // or null
    Index mask_row;                 // of query 0
    float* out;                     // (T, D), rows out_stride apart: forward
    Index out_stride;
    float *max, *sum;          // (T) of scores and of e^(score - max): forward
    const float *lse, *delta;  // (T), <dout, out>: backward
    float *dq, *dk, *dv;       // (T, D): dq overwritten, dk and dv +=
    float* scratch;
};

// What one instruction set offers. scratch: floats it needs for T, D.
struct HeadPasses {
    Index (*scratch)(Index context, Index head_dim);
    void (*forward)(const FloatHead&);
    void (*backward)(const FloatHead&);
};
extern const HeadPasses kAvx2Passes, kAvx512Passes, kAmxPasses, kAmxEmulatedPasses;

}  // namespace plumb
