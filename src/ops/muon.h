// Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon), scaled as in Liu et al. 2025
// (arXiv:2502.16982, section 2.2 and the authors' examples): the momentum of a matrix's gradient,
// with its singular values made nearly equal. W, G, B (R, C); B is 0 before the first step:
//
//     B <- mu B + G
//     U  = NS(G + mu B)                                      Nesterov's look ahead
//     W <- (1 - lr decay) W - lr 0.2 sqrt(max(R, C)) U       decay is decoupled, as AdamW's
//
// NS(X) divides X by ||X||_F + 1e-7 and then does, five times,
//
//     X <- (a I + b A + c A A) X,  A = X X^T,                a, b, c = 3.4445, -4.7750, 2.0315
//
// which leaves singular vectors alone and sends a singular value s to a s + b s^3 + c s^5. The
// polynomial is steep at 0 and settles in a band, not at 1: values above 0.002 of the norm end in
// [0.68, 1.21], smaller ones grow up to 485 times. With min(R, C) values near 1, rms(U) is about
// 1 / sqrt(max(R, C)), so a step moves each number by 0.2 lr in the mean square, about as AdamW
// does: the same rate serves both. The authors compute NS in bf16; here it runs in Real.
//
// The products are of the shorter side: A = X^T X, from the right, where R > C. Five times
// 4 R C k + 2 k^3 FLOPs with k = min(R, C).
#pragma once

#include "core/dispatch.h"

namespace plumb {

struct MuonStep {
    double lr, momentum, weight_decay;
    // (1) The gradient is multiplied by it first (clipping). 0: nothing is changed.
    View<const double> grad_scale;
};

// Numbers of scratch for a matrix (R, C), and the FLOPs of its NS.
Index muon_scratch(Index rows, Index columns);
double muon_flops(Index rows, Index columns);

// w and momentum are updated in place; scratch (at least muon_scratch) and square (1) are
// overwritten.
template <class Real>
void muon(const Context& ctx, const MuonStep& s, View<Real> w, View<const Real> grad,
          View<Real> momentum, View<Real> scratch, View<double> square);

// NS(x). Overwrites x, scratch (the same size as above, less x) and square; the result is in
// scratch.
template <class Real>
View<Real> newton_schulz(const Context& ctx, View<Real> x, View<Real> scratch, View<double> square);

// Of the numbers of matrices, on a device. B <- mu B + s G, x = s G + mu B; nothing where s is 0.
template <class Real>
void muon_look_ahead(Cpu, const Context& ctx, Real mu, View<const double> s, View<const Real> grad,
                     View<Real> momentum, View<Real> x);
template <class Real>
void muon_look_ahead(Cuda, const Context& ctx, Real mu, View<const double> s, View<const Real> grad,
                     View<Real> momentum, View<Real> x);
// x /= sqrt(square) + eps
template <class Real>
void muon_normalise(Cpu, const Context& ctx, View<const double> square, double eps, View<Real> x);
template <class Real>
void muon_normalise(Cuda, const Context& ctx, View<const double> square, double eps, View<Real> x);
// x (k, k) += a I
template <class Real>
void muon_add_diagonal(Cpu, const Context& ctx, Real a, View<Real> x);
template <class Real>
void muon_add_diagonal(Cuda, const Context& ctx, Real a, View<Real> x);
// w = keep w - rate u; nothing where s is 0.
template <class Real>
void muon_update(Cpu, const Context& ctx, View<const double> s, Real keep, Real rate,
                 View<const Real> u, View<Real> w);
template <class Real>
void muon_update(Cuda, const Context& ctx, View<const double> s, Real keep, Real rate,
                 View<const Real> u, View<Real> w);

}  // namespace plumb
