#include "cli/doctor_command.h"

#include "cli/exit_code.h"
#include "core/cpu_info.h"
#include "core/gpu.h"
#include "core/threads.h"
#include "ops/attention_kernel.h"
#include "ops/gemm_rate.h"
#include "ops/matmul.h"
#include "plumb/build_info.h"
#include "plumb/git_info.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kDoctorExamples = R"(Examples:
  plumb doctor
  plumb doctor --threads 1
  plumb doctor --json
)";

struct DoctorOptions {
    int threads = 0;
    bool json = false;
};

// Worst error of a small product against a plain double loop, relative to sum |a b|.
double gemm_error(const Context& ctx) {
    constexpr Index m = 37, n = 29, k = 53;
    std::vector<float> a(m * k), b(n * k), c(m * n);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = std::sin(static_cast<float>(i));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = std::cos(static_cast<float>(i) * 0.7f);
    gemm(ctx, Op::none, Op::transpose, m, n, k, 1.0f, a.data(), k, b.data(), k, 0.0f, c.data(), n);
    double worst = 0;
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            double sum = 0, size = 0;
            for (Index p = 0; p < k; ++p) {
                const double x = static_cast<double>(a[static_cast<std::size_t>(i * k + p)]) *
                                 static_cast<double>(b[static_cast<std::size_t>(j * k + p)]);
                sum += x, size += std::abs(x);
            }
            const double error =
                std::abs(static_cast<double>(c[static_cast<std::size_t>(i * n + j)]) - sum) / size;
            if (!(error <= worst)) worst = error;
        }
    return worst;
}

nlohmann::ordered_json examine(int threads) {
    const Context ctx{Device::cpu, threads};
    set_up_threads(ctx);
    const CpuInfo cpu = this_cpu();
    nlohmann::ordered_json j;
    j["plumb"] = fmt::format("{} ({}{})", build_info::version, git_commit(),
                             git_dirty() ? ", with local changes" : "");
    j["build"] =
        fmt::format("{} {}, {}", build_info::compiler, build_info::build_type, build_info::flags);
    j["cpu"] = fmt::format("{}, {} cores", cpu.model, cpu.logical_cpus);
    j["isa"] = fmt::format("{}", fmt::join(cpu.isa, " "));
    j["threads"] = threads;
    j["gemm"] = gemm_backend();
    j["gemm_error"] = gemm_error(ctx);
    j["attention"] = name_of(attention_kernel());
    const std::string gpus = gpu::devices();
    j["cuda"] = std::string(gpu::version()).empty() ? "not built"
                : gpus.empty() ? fmt::format("toolkit {}, no device", gpu::version())
                               : gpus;
    // Forward products of an MLP's up projection, tokens = batch 8 x context 256.
    for (const Index width : {128, 256, 384, 512})
        j["gflops"][fmt::format("2048x{}x{}", 4 * width, width)] =
            std::round(measure_gemm_rate(ctx, 2048, 4 * width, width, 0.4) / 1e9);
    return j;
}

void print(const nlohmann::ordered_json& j) {
    for (const auto& [key, value] : j.items())
        if (key != "gflops")
            std::printf(
                "%-12s %s\n", key.c_str(),
                value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
    std::printf("\nGEMM self-test, float, tokens x out x in:\n");
    for (const auto& [shape, rate] : j["gflops"].items())
        std::printf("  %-14s %7.0f GFLOP/s\n", shape.c_str(), rate.get<double>());
    std::printf("\n");
    if (j["gemm"].get<std::string>().starts_with("Eigen"))
        std::printf(
            "oneDNN is off, GEMM runs on Eigen. To turn it on: apt-get install libdnnl-dev, "
            "then build again\n");
    if (j["cuda"] == "not built")
        std::printf(
            "CUDA is off. To turn it on: build where nvcc is found (cmake -DPLUMB_CUDA=ON)\n");
    std::printf("gemm_gflops: %.0f\n", j["gflops"]["2048x1024x256"].get<double>());
}

void doctor(const DoctorOptions& o) {
    const int threads = choose_threads(o.threads).n;
    if (!o.json) std::printf("measuring, about two seconds ...\n\n"), std::fflush(stdout);
    const auto j = examine(threads);
    if (o.json)
        std::printf("%s\n", j.dump(2).c_str());
    else
        print(j);
    constexpr double kLimit = 1e-5;
    if (!(j["gemm_error"].get<double>() <= kLimit)) {
        std::fprintf(stderr,
                     "plumb: GEMM is wrong by %g; build with -DPLUMB_ONEDNN=OFF and report it\n",
                     j["gemm_error"].get<double>());
        throw ExitWith{kCheckFailed};
    }
}

}  // namespace

void add_doctor_command(CLI::App& app) {
    auto o = std::make_shared<DoctorOptions>();
    CLI::App* cmd = app.add_subcommand("doctor", "what was found here, and how fast GEMM is");
    cmd->add_option("--threads", o->threads,
                    "threads (default: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->add_flag("--json", o->json, "as JSON");
    cmd->footer(kDoctorExamples);
    cmd->callback([o] { doctor(*o); });
}

}  // namespace plumb
