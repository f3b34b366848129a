#include "core/cpu_info.h"

#include "catch.h"

using namespace plumb;

TEST_CASE("cpuinfo of x86 and Arm") {
    const CpuInfo x86 = parse_cpuinfo(
        "processor\t: 0\nmodel name\t: Some CPU @ 2:1\nflags\t\t: fpu avx2 amx_bf16 avx512f_not\n\n"
        "processor\t: 1\nmodel name\t: Other\nflags\t\t: fpu avx512f\n");
    CHECK(x86.model == "Some CPU @ 2:1");
    CHECK(x86.isa == std::vector<std::string>{"avx2", "amx_bf16"});
    CHECK(x86.logical_cpus == 2);
    const CpuInfo arm = parse_cpuinfo("processor\t: 0\nFeatures\t: fp asimd sve\n");
    CHECK(arm.model == "unknown");
    CHECK(arm.logical_cpus == 1);
    CHECK(arm.isa == std::vector<std::string>{"asimd", "sve"});
    CHECK(parse_cpuinfo("").logical_cpus == 0);
    CHECK(parse_cpuinfo(":\n: x\nflags:\n").isa.empty());
}
