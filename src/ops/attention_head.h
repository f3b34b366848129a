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

}  // namespace plumb
