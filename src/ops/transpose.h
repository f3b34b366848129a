// Vectors of kLanes floats (vector extensions of GCC and Clang), and matrices transposed with them.
// A file that includes this defines PLUMB_LANES and may be compiled for its own instruction set:
// everything here has internal linkage, so that no code for a CPU that may not be there is shared
// by the linker.
#pragma once

#include "core/view.h"

#include <utility>

namespace plumb {
namespace {

constexpr int kLanes = PLUMB_LANES;

typedef float Floats __attribute__((vector_size(4 * kLanes)));

inline Floats load(const float* p) {
    Floats v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline void store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }

// Lane i of the results of a step of transpose(), as a lane of a or, from kLanes on, of b.
// Within each four lanes, groups of `group` lanes of a and b in turn, from the lower or upper half.
template <int group, bool upper>
constexpr int interleaved(int i) {
    const int in_four = i % 4, of_b = in_four / group % 2;
    return of_b * kLanes + i - in_four + in_four / (2 * group) * group + in_four % group +
           (upper ? 2 : 0);
}
// Fours of lanes, those whose number has bit `far` from b: the others' neighbours.
template <int far, bool upper>
constexpr int exchanged(int i) {
    const bool of_b = i / 4 & far;
    if (upper) return of_b ? kLanes + i : i + 4 * far;
    return of_b ? kLanes + i - 4 * far : i;
}
#define PLUMB_SHUFFLE(name, lane)                                              \
    template <int step, bool upper, int... i>                                  \
    inline Floats name(Floats a, Floats b, std::integer_sequence<int, i...>) { \
        return __builtin_shufflevector(a, b, lane<step, upper>(i)...);         \
    }
PLUMB_SHUFFLE(interleave, interleaved)
PLUMB_SHUFFLE(exchange, exchanged)
#undef PLUMB_SHUFFLE

using Lanes = std::make_integer_sequence<int, kLanes>;

template <int far>
inline void exchange_fours(Floats r[kLanes]) {
    if constexpr (4 * far < kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
            if (i / 4 & far) continue;
            const Floats a = r[i], b = r[i + 4 * far];
            r[i] = exchange<far, false>(a, b, Lanes());
            r[i + 4 * far] = exchange<far, true>(a, b, Lanes());
        }
        exchange_fours<2 * far>(r);
    }
}

// r, rows of a square, -> its columns.
inline void transpose(Floats r[kLanes]) {
    Floats t[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i += 2) {
        t[i] = interleave<1, false>(r[i], r[i + 1], Lanes());
        t[i + 1] = interleave<1, true>(r[i], r[i + 1], Lanes());
    }
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; i += 4)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j) {
            r[i + 2 * j] = interleave<2, false>(t[i + j], t[i + j + 2], Lanes());
            r[i + 2 * j + 1] = interleave<2, true>(t[i + j], t[i + j + 2], Lanes());
        }
    exchange_fours<1>(r);
}

// y (cols, rows) = x (rows, cols) transposed; rows and cols are multiples of kLanes.
inline void turn(const float* x, Index x_stride, Index rows, Index cols, float* y, Index y_stride) {
    for (Index i = 0; i < rows; i += kLanes)
        for (Index j = 0; j < cols; j += kLanes) {
            Floats r[kLanes];
#pragma GCC unroll 16
            for (int u = 0; u < kLanes; ++u) r[u] = load(x + (i + u) * x_stride + j);
            transpose(r);
#pragma GCC unroll 16
            for (int u = 0; u < kLanes; ++u) store(y + (j + u) * y_stride + i, r[u]);
        }
}

}  // namespace
}  // namespace plumb
