#include "ops/dropout.h"

#include "core/parallel.h"

#include <algorithm>

namespace plumb {
namespace {

constexpr int kLanes = 16;

// Philox4x32's state for kLanes counters.
struct State {
    std::uint32_t word[4][kLanes];
};

// One round: two 32 x 32 -> 64 bit products, their halves crossed with the other words and the key.
inline void philox_round(State& s, std::uint32_t key0, std::uint32_t key1) {
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
        const std::uint64_t a = std::uint64_t{0xD2511F53} * s.word[0][i];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57} * s.word[2][i];
        s.word[0][i] = static_cast<std::uint32_t>(b >> 32) ^ s.word[1][i] ^ key0;
        s.word[2][i] = static_cast<std::uint32_t>(a >> 32) ^ s.word[3][i] ^ key1;
        s.word[1][i] = static_cast<std::uint32_t>(b);
        s.word[3][i] = static_cast<std::uint32_t>(a);
    }
}

}  // namespace

template <class Real>
void dropout_factors(const Dropout& d, Index row, Index block, Real* factors) {
    State s;
    for (int i = 0; i < kLanes; ++i) {
        s.word[0][i] = static_cast<std::uint32_t>(block) * kLanes + static_cast<std::uint32_t>(i);
        s.word[1][i] = static_cast<std::uint32_t>(row);
        s.word[2][i] = static_cast<std::uint32_t>(d.stream);
        s.word[3][i] = static_cast<std::uint32_t>(d.stream >> 32);
    }
    auto key0 = static_cast<std::uint32_t>(d.seed), key1 = static_cast<std::uint32_t>(d.seed >> 32);
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9, key1 += 0xBB67AE85)
        philox_round(s, key0, key1);
    const std::uint32_t threshold = d.threshold();
    const Real kept = static_cast<Real>(d.factor());
    std::uint32_t words[4 * kLanes];  // a counter's, one after the other
#pragma omp simd
    for (int i = 0; i < kLanes; ++i)
        for (int w = 0; w < 4; ++w) words[4 * i + w] = s.word[w][i];
#pragma omp simd
    for (int k = 0; k < 4 * kLanes; ++k) {
        factors[2 * k] = (words[k] & 0xFFFFU) < threshold ? Real(0) : kept;
        factors[2 * k + 1] = (words[k] >> 16) < threshold ? Real(0) : kept;
    }
}

template <class T>
void dropout(Cpu, const Context& ctx, const Dropout& d, View<T> x) {
    const Index c = x.extent(1);
    for_tokens(ctx, x.extent(0), [&](Index n) {
        RealOf<T> factors[kDropoutBlock];
        for (Index begin = 0; begin < c; begin += kDropoutBlock) {
            dropout_factors(d, n, begin / kDropoutBlock, factors);
            T* row = x.row(n) + begin;
            const Index count = std::min(kDropoutBlock, c - begin);
#pragma omp simd
            for (Index i = 0; i < count; ++i) row[i] = static_cast<RealOf<T>>(row[i]) * factors[i];
        }
    });
}

template void dropout_factors(const Dropout&, Index, Index, float*);
template void dropout_factors(const Dropout&, Index, Index, double*);
template void dropout(Cpu, const Context&, const Dropout&, View<float>);
template void dropout(Cpu, const Context&, const Dropout&, View<double>);
template void dropout(Cpu, const Context&, const Dropout&, View<Bf16>);

}  // namespace plumb
