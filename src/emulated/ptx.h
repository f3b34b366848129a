// What kernels ask of the GPU in PTX, in C++: written from the text of the PTX ISA, apart from the
// kernels. An approximation is off by as much as the ISA allows, up or down by the bits of its
// argument; subnormal numbers are zero (.ftz).
#pragma once

#include "emulated/device.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace emulated::ptx {

// ---- approximations -----------------------------------------------------------------------------

inline float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
inline float off_by(double exact, double relative, float argument) {
    const bool up = std::bit_cast<std::uint32_t>(argument) * 0x9E3779B9u >> 31;
    return flushed(static_cast<float>(exact * (up ? 1 + relative : 1 - relative)));
}
inline float rcp_approx_ftz(float x) { return off_by(1 / double{flushed(x)}, 0x1p-23, x); }
inline float rsqrt_approx_ftz(float x) {
    return off_by(1 / std::sqrt(double{flushed(x)}), 0x1.1p-23, x);  // 2^-22.9
}
inline float ex2_approx_ftz(float x) {
    return off_by(std::exp2(double{flushed(x)}), 0x1p-22, x);  // 2 ulp
}

// ---- cp.async -----------------------------------------------------------------------------------

// The copies of one thread that are under way. One happens when it is waited for, no earlier; until
// then its destination is NaN. What is not in a group (commit) is waited for by nobody.
class Copies {
public:
    void start(void* to, const void* from, bool live, Site at) {
        std::memset(to, 0xff, 16);
        all_.push_back({to, from, live, group_, at});
    }
    void commit() { ++group_; }
    // Until all but the newest n groups have arrived.
    void wait(unsigned n) {
        std::size_t done = 0;
        for (; done < all_.size() && all_[done].group + n < group_; ++done) {
            const Copy& c = all_[done];
            if (c.live)
                std::memcpy(c.to, c.from, 16);
            else
                std::memset(c.to, 0, 16);
        }
        all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(done));
    }
    bool pending() const { return !all_.empty(); }
    Site site() const { return all_.front().site; }  // of the oldest

private:
    struct Copy {
        void* to;
        const void* from;
        bool live;  // else zeros
        unsigned group;
        Site site;
    };
    std::vector<Copy> all_;
    unsigned group_ = 0;
};

Copies& copies();  // of the thread that runs

// cp.async.cg.shared.global [to], [from], 16, live ? 16 : 0
inline void cp_async_16(void* to, const void* from, bool live, Site at = Site::current()) {
    if (!in_shared(to)) fail_here("cp.async to an address that is not in shared memory", at);
    if (!on_device(from)) fail_here("cp.async from an address that is not in global memory", at);
    if (reinterpret_cast<std::uintptr_t>(to) % 16 || reinterpret_cast<std::uintptr_t>(from) % 16)
        fail_here("cp.async of 16 bytes between addresses that are no multiples of 16", at);
    copies().start(to, from, live, at);
}
inline void cp_async_commit_group() { copies().commit(); }
inline void cp_async_wait_group(unsigned n) { copies().wait(n); }

// ---- mma ----------------------------------------------------------------------------------------

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: d (16, 8) += a (16, 16) b (16, 8). A
// register has two bf16, the lower column or row in its low half. With group = lane / 4, place =
// lane % 4:
//     a  row group (registers 0, 2) or group + 8 (1, 3); column 2 place + (0, 1), + 8 in 2 and 3
//     b  row 2 place + (0, 1), + 8 in register 1; column group
//     d  row group (0, 1) or group + 8 (2, 3); column 2 place + (0, 1)
inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                              Site at = Site::current()) {
    float A[16][16], B[16][8];
    const auto half = [](std::uint64_t bits, int high) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits >> 16 * high) << 16);
    };
    for (int r = 0; r < 6; ++r) {
        const std::uint64_t* all = warp_exchange(WarpOp::mma, ~0u, r < 4 ? a[r] : b[r - 4], at);
        for (int l = 0; l < 32; ++l)
            for (int high = 0; high < 2; ++high) {
                const int pair = 2 * (l % 4) + high;
                if (r < 4)
                    A[l / 4 + 8 * (r % 2)][pair + 8 * (r / 2)] = half(all[l], high);
                else
                    B[pair + 8 * (r - 4)][l / 4] = half(all[l], high);
            }
    }
    for (int i = 0; i < 4; ++i) {
        const int row = lane() / 4 + 8 * (i / 2), column = 2 * (lane() % 4) + i % 2;
        for (int k = 0; k < 16; ++k) d[i] += A[row][k] * B[k][column];
    }
}

// ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16: lanes 0..7 and 8..15 name the rows of two 8 x 8
// matrices of 16 bits; lane l gets rows 2 (l % 4) + (0, 1) of column l / 4 of each.
inline void ldmatrix_x2_trans(unsigned (&b)[2], const void* row, Site at = Site::current()) {
    if (lane() < 16 && !in_shared(row))
        fail_here("ldmatrix of a row that is not in shared memory", at);
    if (lane() < 16 && reinterpret_cast<std::uintptr_t>(row) % 16)
        fail_here("ldmatrix of a row whose address is no multiple of 16", at);
    const std::uint64_t* all =
        warp_exchange(WarpOp::ldmatrix, ~0u, reinterpret_cast<std::uintptr_t>(row), at);
    for (int matrix = 0; matrix < 2; ++matrix) {
        std::uint16_t two[2];
        for (int i = 0; i < 2; ++i)
            std::memcpy(&two[i],
                        reinterpret_cast<const char*>(all[8 * matrix + 2 * (lane() % 4) + i]) +
                            2 * (lane() / 4),
                        2);
        b[matrix] = two[0] | static_cast<unsigned>(two[1]) << 16;
    }
}

}  // namespace emulated::ptx
