// What the kernels are held against: a mixer's rule in the plain engine (mixers/reference.h), in
// double on the host, walked with given v_l and dx_l.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace plumb::test {

struct Walk {
    using Numbers = std::vector<double>;

    int L, N, C;
    double eps;
    Numbers gain;                                 // (C), of every pre-norm
    std::map<std::string, Numbers> value, grad;   // parameters, by name
    std::vector<Numbers> v, xhat, dx, dv, dgain;  // v_0..v_L; 1..L+1; 1..L+1; dv_0..; 1..L+1

    // Of site l's parameter, "" where it has none.
    const Numbers* parameter(int l, const std::string& name) const;
    const Numbers* gradient(int l, const std::string& name) const;
};

// Rounds v and dx to bf16 where asked, so that all engines read the same.
Walk walk_reference(const std::string& mixer, const std::vector<std::string>& settings, int L,
                    int N, int C, std::uint64_t seed, bool bf16);

struct SinkhornReference {
    std::vector<double> p, dlogits;  // (K, K) a token, token by token
};
SinkhornReference sinkhorn_reference(const std::vector<double>& logits,
                                     const std::vector<double>& dp, int K, int iters);

// Four words of Philox4x32-10 as Random123 makes them.
std::vector<std::uint32_t> random123(const std::vector<std::uint32_t>& counters, std::uint32_t key0,
                                     std::uint32_t key1);

}  // namespace plumb::test
