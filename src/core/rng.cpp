#include "core/rng.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>
#include <utility>

namespace plumb {
namespace {

using Generator = r123::Philox4x32;
__extension__ using Wide = unsigned __int128;

std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

// One Philox block: 128 bits as two 64-bit words. counter = (i, stream), key = seed.
std::pair<std::uint64_t, std::uint64_t> block(std::uint64_t seed, std::uint64_t stream,
                                              std::uint64_t i) {
    const Generator::ctr_type counter{{low(i), high(i), low(stream), high(stream)}};
    const Generator::key_type key{{low(seed), high(seed)}};
    const auto r = Generator{}(counter, key);
    return {r[0] | std::uint64_t{r[1]} << 32, r[2] | std::uint64_t{r[3]} << 32};
}

double to_unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

std::uint64_t hash_name(std::string_view text) {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return h;
}

CounterRng::CounterRng(std::uint64_t seed, std::string_view name)
    : seed_(seed), stream_(hash_name(name)) {}

std::uint64_t CounterRng::bits(std::uint64_t i) const { return block(seed_, stream_, i).first; }

double CounterRng::uniform(std::uint64_t i) const { return to_unit(bits(i)); }

double CounterRng::normal(std::uint64_t i) const {
    const auto [a, b] = block(seed_, stream_, i);
    const double u = 1.0 - to_unit(a);  // (0, 1]: the logarithm stays finite
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * to_unit(b));
}

std::uint64_t CounterRng::below(std::uint64_t i, std::uint64_t n) const {
    return static_cast<std::uint64_t>((static_cast<Wide>(bits(i)) * n) >> 64);
}

}  // namespace plumb
