#include "ops/attention_kernel.h"

#include "core/check.h"
#include "ops/attention_head.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace plumb {
namespace {

constexpr AttentionKernel kAll[]{AttentionKernel::generic, AttentionKernel::avx2,
                                 AttentionKernel::avx512, AttentionKernel::amx,
                                 AttentionKernel::amx_emulated};

#if defined(__x86_64__) && defined(__linux__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// The system keeps the tiles of a process that asked for them; a thread that did not ask is stopped
// at its first tile instruction.
bool may_use_tiles() {
    constexpr int kRequestPermission = 0x1023,
                  kTileData = 18;  // of arch_prctl: ARCH_REQ_XCOMP_PERM
    return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// CPUID leaf 7, which gcc 12 does not ask for these.
bool has_amx() {
    unsigned a = 7, b = 0, c = 0, d = 0;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const bool tile = d >> 24 & 1, bf16 = d >> 22 & 1;
    return has_avx512() && __builtin_cpu_supports("avx512bf16") && tile && bf16 && may_use_tiles();
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_amx() { return false; }
#endif

bool can_run(AttentionKernel kernel) {
    switch (kernel) {
        case AttentionKernel::avx2:
            return has_avx2();
        case AttentionKernel::avx512:
            return has_avx512();
        case AttentionKernel::amx:
            return has_amx();
        default:
            return true;
    }
}

AttentionKernel chosen() {
    const auto& kernels = attention_kernels();
    const char* asked = std::getenv(kAttentionVariable);
    if (!asked || !*asked) return *(kernels.rbegin() + 1);  // before amx_emulated
    std::string names;
    for (const AttentionKernel kernel : kernels) {
        if (name_of(kernel) == asked) return kernel;
        names += (names.empty() ? "" : ", ") + std::string(name_of(kernel));
    }
    const bool known = std::any_of(std::begin(kAll), std::end(kAll), [&](AttentionKernel kernel) {
        return name_of(kernel) == asked;
    });
    throw UsageError(fmt::format("{}={}: {}; choose one of {}, or unset it for the usual one",
                                 kAttentionVariable, asked,
                                 known ? "this CPU does not have that" : "no such kernel", names));
}

std::atomic<int> forced{-1};

}  // namespace

std::string_view name_of(AttentionKernel kernel) {
    constexpr std::string_view kNames[]{"generic", "avx2", "avx512", "amx", "amx_emulated"};
    return kNames[static_cast<int>(kernel)];
}

std::vector<std::string_view> attention_kernel_names() {
    std::vector<std::string_view> names;
    for (const AttentionKernel kernel : kAll) names.push_back(name_of(kernel));
    return names;
}

const std::vector<AttentionKernel>& attention_kernels() {
    static const std::vector<AttentionKernel> kernels = [] {
        std::vector<AttentionKernel> found;
        std::copy_if(std::begin(kAll), std::end(kAll), std::back_inserter(found), can_run);
        return found;
    }();
    return kernels;
}

AttentionKernel attention_kernel() {
    if (const int kernel = forced; kernel >= 0) return static_cast<AttentionKernel>(kernel);
    static const AttentionKernel kernel = chosen();
    return kernel;
}

ForceAttentionKernel::ForceAttentionKernel(AttentionKernel kernel) : before_(forced) {
    const auto& kernels = attention_kernels();
    require(std::find(kernels.begin(), kernels.end(), kernel) != kernels.end(),
            "this CPU cannot run that kernel of attention");
    forced = static_cast<int>(kernel);
}
ForceAttentionKernel::~ForceAttentionKernel() { forced = before_; }

const HeadPasses* head_passes(Index head_dim, bool bf16) {
    if (head_dim % 16 != 0 || head_dim > kLargestTiledHead) return nullptr;
    switch (attention_kernel()) {
        case AttentionKernel::generic:
            return nullptr;
        case AttentionKernel::avx2:
            return &kAvx2Passes;
        case AttentionKernel::avx512:
            return &kAvx512Passes;
        case AttentionKernel::amx:
            return bf16 ? &kAmxPasses : &kAvx512Passes;
        case AttentionKernel::amx_emulated:
            return bf16 ? &kAmxEmulatedPasses : &kAvx2Passes;
    }
    return nullptr;
}

}  // namespace plumb
