// Dropout (Srivastava et al. 2014): a number is kept with probability 1 - p and divided by it, else
// it is 0. The mask is never stored: it is a function of the key, the row and the column, so that
// backward makes it again, the same for any number of threads.
#pragma once

#include "core/dispatch.h"

#include <string_view>

namespace plumb {

// p is rounded to a multiple of 1/65536 (16 random bits decide on a number), and kept numbers are
// divided by exactly what their probability then is, so that the mean stays. Every use of dropout
// in a step needs a stream of its own.
struct Dropout {
    double p = 0;  // [0, 1)
    std::uint64_t seed = 0, stream = 0;

    std::uint32_t threshold() const { return static_cast<std::uint32_t>(p * 65536 + 0.5); }
    explicit operator bool() const { return threshold() > 0; }
    double factor() const { return 65536.0 / (65536.0 - threshold()); }
};

// The stream of forward pass number `pass` (micro-batches counted) at `site` ("layer.3.attn.out").
std::uint64_t dropout_stream(std::uint64_t pass, std::string_view site);

// Numbers of a mask made at once.
inline constexpr Index kDropoutBlock = 128;

// factors[0..127] = 0 or d.factor() for columns 128 block .. 128 block + 127 of row `row` (below
// 2^32). Philox4x32-10 (Salmon et al. 2011), 16 bits a number: column 128 block + 8 i + j takes the
// low (j even) or high half of word j / 2 at counter 16 block + i. So 8 neighbours, which a GPU's
// thread holds, are one counter's.
template <class Real>
void dropout_factors(const Dropout& d, Index row, Index block, Real* factors);

// x (N, C) *= mask / (1 - p), in place; the same call serves backward. No cost for p = 0.
template <class T>
void dropout(const Context& ctx, const Dropout& d, View<T> x);

// On a device, where p > 0.
template <class T>
void dropout(Cpu, const Context& ctx, const Dropout& d, View<T> x);
template <class T>
void dropout(Cuda, const Context& ctx, const Dropout& d, View<T> x);

}  // namespace plumb
