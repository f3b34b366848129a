// The middle of exp in float, for a number or a vector of them: what ops/exp.h and
// ops/attention_lanes.h build on. Always inlined: it is compiled for more than one instruction set.
#pragma once

namespace plumb {

// x = k ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts (Cody & Waite 1980); the polynomial of e^r is
// that of Cephes' expf.
template <class V>
struct ExpParts {
    V shifted;  // 1.5 2^23 + k: k in the lowest bits
    V p;        // e^r
};
template <class V>
[[gnu::always_inline]] inline ExpParts<V> exp_parts(V x) {
    const V shifted = x * 1.44269504F + 12582912.0F;
    const V k = shifted - 12582912.0F;
    const V r = (x - k * 0.693359375F) + k * 2.12194440e-4F;
    V p = r * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    return {shifted, p * (r * r) + (r + 1.0F)};
}

}  // namespace plumb
