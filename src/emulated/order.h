// Random numbers for orders of execution: a sequence for each pair of seed and place.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulated {

class Order {
public:
    explicit Order(std::uint64_t seed, std::uint64_t place = 0) : seed_(seed), x_(mixed(seed)) {
        x_ = mixed(x_ ^ place);
    }
    std::uint64_t next() { return x_ = mixed(x_); }
    // 0..n-1; always 0 for seed 0.
    std::size_t below(std::size_t n) { return seed_ ? next() % n : 0; }
    explicit operator bool() const { return seed_ != 0; }

private:
    static std::uint64_t mixed(std::uint64_t x) {  // splitmix64
        x += 0x9E3779B97F4A7C15u;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
        return x ^ (x >> 31);
    }
    std::uint64_t seed_, x_;
};

}  // namespace emulated
