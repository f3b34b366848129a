// What the kernels of the ops are held against: the CPU's ops on host memory, in double, or in the
// kernel's own type where the same bits are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plumb::test {

using Numbers = std::vector<double>;

Numbers normal_numbers(const std::string& name, std::size_t n);

struct ActivationReference {
    Numbers a, dup;
};
ActivationReference activation_reference(bool swiglu, long N, long F, const Numbers& up,
                                         const Numbers& da);

struct DroppedReference {
    std::uint32_t threshold;
    double factor;
    Numbers x;
};
template <class T>
DroppedReference dropout_reference(std::uint64_t seed, std::uint64_t pass, double p, long C,
                                   const Numbers& x);

struct EmbeddingReference {
    Numbers out, dtable;
};
template <class T>
EmbeddingReference embedding_reference(long C, const std::vector<std::int32_t>& ids,
                                       const Numbers& table, const Numbers& dout,
                                       const Numbers& dtable);

}  // namespace plumb::test
