// What a walk on a device (support/device_stack.h) may differ by from the CPU's.
#pragma once

#include "catch.h"
#include "check/compare.h"
#include "support/device_stack.h"
#include "support/thread_orders.h"

#include <cstring>
#include <map>
#include <optional>

namespace plumb::test {

// Root mean square of got - want over that of want, over all tensors of a kind.
inline std::map<Made::Kind, double> errors(const std::vector<Made>& got,
                                           const std::vector<Made>& want) {
    REQUIRE(got.size() == want.size());
    std::map<Made::Kind, std::pair<double, double>> sums;
    for (std::size_t k = 0; k < want.size(); ++k) {
        REQUIRE(got[k].values.size() == want[k].values.size());
        auto& [error, size] = sums[want[k].kind];
        for (std::size_t i = 0; i < want[k].values.size(); ++i) {
            const double d = got[k].values[i] - want[k].values[i];
            error += d * d, size += want[k].values[i] * want[k].values[i];
        }
    }
    std::map<Made::Kind, double> all;
    for (const auto& [kind, sum] : sums)
        all[kind] = std::sqrt(sum.first / (sum.second > 0 ? sum.second : 1));
    return all;
}

inline void check_double(const std::vector<Made>& got, const std::vector<Made>& want) {
    REQUIRE(got.size() == want.size());
    double largest = 0;
    for (const Made& made : want)
        for (const double x : made.values) largest = std::max(largest, std::abs(x));
    for (std::size_t k = 0; k < want.size(); ++k) {
        INFO(want[k].name);
        CHECK(plumb::relative_error(std::span(got[k].values), std::span(want[k].values),
                                    1e-3 * largest) <= 1e-11);
    }
}

// As well as the CPU's walk in float follows double. That one's scalars are double in the plain
// memory. In float a sum of C products of mixed sign, which the gradient of a weight is, is off by
// about sqrt(C) roundings.
inline void check_float(const std::vector<Made>& gpu, const std::vector<Made>& cpu,
                        const std::vector<Made>& exact, Index channels) {
    const auto of_cpu = errors(cpu, exact);
    for (const auto& [kind, error] : errors(gpu, exact)) {
        const double rounding =
            kind == Made::Kind::parameter ? std::sqrt(channels) * 0x1p-24 : 0x1p-24;
        INFO("forward, input, parameter: " << static_cast<int>(kind));
        CHECK(error <= 4 * std::max(of_cpu.at(kind), rounding));
    }
}

// One rounding to bf16 is 0.43 2^-8 in the root mean square (tests/mixers/bf16_test.cpp); a number
// is rounded four times on its way through a sublayer, a gradient 12 times.
inline double bf16_bound(Made::Kind kind, int sublayers) {
    const int roundings = (kind == Made::Kind::forward ? 4 : 12) * (sublayers + 1);
    return (kind == Made::Kind::parameter ? 6 : 2) * 0.43 * std::sqrt(roundings) / 256;
}
// Where the CPU's walk is off by more, whose sums of rows are rounded too, half as much again.
inline void check_bf16(const std::vector<Made>& gpu, const std::vector<Made>& cpu,
                       const std::vector<Made>& exact, int sublayers) {
    const auto of_cpu = errors(cpu, exact);
    for (const auto& [kind, e] : errors(gpu, exact)) {
        INFO("forward, input, parameter: " << static_cast<int>(kind));
        const double bound = bf16_bound(kind, sublayers), cpu_error = of_cpu.at(kind);
        CHECK(e <= (cpu_error <= bound ? bound : 1.5 * cpu_error));
    }
}

inline void check_same_bits(const std::vector<Made>& got, const std::vector<Made>& want) {
    REQUIRE(got.size() == want.size());
    for (std::size_t k = 0; k < want.size(); ++k) {
        INFO(want[k].name);
        CHECK(std::memcmp(got[k].values.data(), want[k].values.data(),
                          want[k].values.size() * sizeof(double)) == 0);
    }
}

// What make() makes has the same bits in every order of threads.
template <class F>
void check_every_order(F&& make) {
    std::optional<std::vector<Made>> first;
    in_every_order([&] {
        std::vector<Made> made = make();
        if (first)
            check_same_bits(made, *first);
        else
            first = std::move(made);
    });
}

}  // namespace plumb::test
