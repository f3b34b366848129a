// Bf16 ops against the same op in double on the same, rounded, inputs.
#pragma once

#include "support/random.h"

namespace plumb::test {

inline Array<Bf16> rounded(Array<double>& x) {
    Array<Bf16> y(x.view().shape, Bf16(0.0F));
    for (Index i = 0; i < x.size(); ++i) {
        y[i] = static_cast<float>(x[i]);
        x[i] = static_cast<double>(y[i]);  // both start from the same numbers
    }
    return y;
}

// Largest |got - want| / (|want| + floor): rounding to Bf16 alone gives half of kBf16Epsilon.
template <class A, class B>
double worst_error(const Array<A>& got, const Array<B>& want, double floor) {
    double worst = 0;
    for (Index i = 0; i < want.size(); ++i) {
        const double w = static_cast<double>(want[i]);
        const double e = std::abs(static_cast<double>(got[i]) - w) / (std::abs(w) + floor);
        if (!(e <= worst)) worst = e;
    }
    return worst;
}

}  // namespace plumb::test
