// AdamW (Loshchilov & Hutter 2019), one pass over value, gradient and both moments.
#pragma once

#include "core/dispatch.h"

#include <span>

namespace plumb {

struct AdamWStep {
    double lr, beta1, beta2, eps, weight_decay;
    // (1) The gradient is multiplied by it first (clipping). 0: nothing is changed.
    View<const double> grad_scale;
    Index step;  // 1, 2, ...: for bias correction
};

// The numbers before `end`, from the end of the range before.
struct UpdateRange {
    Index end;
    bool decay;
    bool trained = true;  // false: value and moments stay as they are
    double lr_scale = 1;  // times the step's lr
};

// w, m, v updated in place; all have the same count. Decay is decoupled: w -= lr weight_decay w,
// where `ranges` (ascending) say so; numbers after the last range are trained and decay.
template <class Real>
void adamw(const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges = {});

// On a device, of arguments that fit.
template <class Real>
void adamw(Cpu, const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges);
template <class Real>
void adamw(Cuda, const Context& ctx, const AdamWStep& s, View<Real> w, View<const Real> grad,
           View<Real> m, View<Real> v, std::span<const UpdateRange> ranges);

}  // namespace plumb
