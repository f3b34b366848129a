// Which kernel attention runs on a CPU: chosen once a process, by what the CPU has. They compute
// the same in another order: results differ by rounding, so runs say which they used.
//
//   generic       products of matrices by the library, any type and head size (attention_generic)
//   avx2, avx512  tiles in float (attention_float_tiles.h); head sizes 16, 32, ... 128
//   amx           bf16 on AMX tiles (attention_bf16_tiles.h), float as avx512; the same head sizes
//   amx_emulated  the same with the tile instructions in C++, float as avx2: to test it anywhere
//
// The fastest of those that the CPU has. PLUMB_ATTENTION in the environment, one of these names,
// chooses another.
#pragma once

#include "core/view.h"

#include <string_view>
#include <vector>

namespace plumb {

enum class AttentionKernel { generic, avx2, avx512, amx, amx_emulated };
inline constexpr const char* kAttentionVariable = "PLUMB_ATTENTION";

std::string_view name_of(AttentionKernel kernel);
std::vector<std::string_view> attention_kernel_names();
// Those this CPU and this build can run, slowest first, amx_emulated last.
const std::vector<AttentionKernel>& attention_kernels();

// The kernel of this process. UsageError if the variable asks for one that cannot run here.
AttentionKernel attention_kernel();

// For tests: another kernel while it lives. Memory of attention must be made while it lives, too.
class ForceAttentionKernel {
public:
    explicit ForceAttentionKernel(AttentionKernel kernel);
    ~ForceAttentionKernel();
    ForceAttentionKernel(const ForceAttentionKernel&) = delete;
    ForceAttentionKernel& operator=(const ForceAttentionKernel&) = delete;

private:
    int before_;
};

// What runs for heads of this size in tiles, stored as bf16 or as float; null: generic.
struct HeadPasses;
const HeadPasses* head_passes(Index head_dim, bool bf16);

}  // namespace plumb
