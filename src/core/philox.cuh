// Philox4x32-10 (Salmon et al. 2011) for kernels: the generator of core/rng.h, word for word what
// Random123 gives on the host.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace plumb::gpu {

struct Philox {
    std::uint32_t word[4];
};

__device__ inline Philox philox(Philox counter, std::uint32_t key0, std::uint32_t key1) {
    std::uint32_t(&x)[4] = counter.word;
#pragma unroll 2  // more, of several calls, would take too many registers
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        const std::uint64_t a = std::uint64_t{0xD2511F53u} * x[0];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * x[2];
        const Philox next{{std::uint32_t(b >> 32) ^ x[1] ^ key0, std::uint32_t(b),
                           std::uint32_t(a >> 32) ^ x[3] ^ key1, std::uint32_t(a)}};
        counter = next;
    }
    return counter;
}

}  // namespace plumb::gpu
