#include "cli/device_option.h"

#include "core/gpu.h"
#include "core/threads.h"

namespace plumb {

void add_device_option(CLI::App& command, std::string& device) {
    command.add_option("--device", device, "where to compute")->type_name("cpu|cuda");
}

Context chosen_context(const std::string& device, int threads) {
    if (device != "cpu" && device != "cuda")
        throw UsageError(fmt::format("--device {}: cpu or cuda", device));
    if (device == "cuda") gpu::require_device();
    return {device == "cuda" ? Device::cuda : Device::cpu, choose_threads(threads).n};
}

}  // namespace plumb
