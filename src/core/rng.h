// Random numbers from a counter, not from a state: Philox4x32-10 (Salmon et al. 2011, Random123).
// A stream is named by (seed, name); its i-th number does not depend on what else was drawn, on the
// order of construction, on threads or on the device. That is what makes runs of different mixers
// paired: a shared parameter gets the same initial values whatever else the model holds.
#pragma once

#include <cstdint>
#include <string_view>

namespace plumb {

// FNV-1a, 64 bit; names streams and tags configurations. Not cryptographic.
std::uint64_t hash_name(std::string_view text);

class CounterRng {
public:
    CounterRng(std::uint64_t seed, std::string_view name);

    // The i-th number of the stream. uniform: [0, 1), 53 bits. normal: N(0, 1) by Box-Muller.
    std::uint64_t bits(std::uint64_t i) const;
    double uniform(std::uint64_t i) const;
    double normal(std::uint64_t i) const;
    // Uniform integer in [0, n), n >= 1; bias below n / 2^64.
    std::uint64_t below(std::uint64_t i, std::uint64_t n) const;

private:
    std::uint64_t seed_, stream_;
};

}  // namespace plumb
