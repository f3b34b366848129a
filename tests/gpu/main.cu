// plumb_gpu_check: the kernels on the device of this machine: primitives, then every kernel of the
// memories against the rule's plain engine in double and those of the ops against the CPU's, then
// times of the memories'. Exits with 1 at the first part that has a wrong number in it, with 2
// where there is no device.
//   --checks     no times
//   --json FILE  all numbers
#include "gpu/device_buffer.h"
#include "gpu/report.h"

#include <cstdio>
#include <string>

using namespace plumb::test;

namespace {

std::string device_name() {
#ifdef __CUDACC__
    int n = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess || n == 0) {
        std::fprintf(stderr, "plumb_gpu_check: no CUDA device: %s\n", cudaGetErrorString(e));
        std::exit(2);
    }
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
    std::printf("%s, %d multiprocessors, %d MB of L2, sm_%d%d\n", p.name, p.multiProcessorCount,
                p.l2CacheSize >> 20, p.major, p.minor);
    return p.name;
#else
    return "emulated";
#endif
}

int run(int argc, char** argv) {
    bool times = true;
    std::string json;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--checks") times = false;
        if (word == "--json" && i + 1 < argc) json = argv[++i];
    }
    Report report;
    const std::string device = device_name();
    for (const auto part : {check_primitives, check_running_row, check_sources, check_streams,
                            check_stream_dots, check_sinkhorn, check_ops}) {
        part(report);
        if (!report.ok()) break;
    }
    std::printf("%zu checks, %s\n", report.n_checks(), report.ok() ? "all right" : "FAILED");
    if (report.ok() && times) time_kernels(report);
    if (!json.empty()) report.write_json(json, device);
    return report.ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "plumb_gpu_check: %s\n", e.what());
        return 1;
    }
}
