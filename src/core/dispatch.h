// The only file that knows whether CUDA was built. An op checks its arguments once and then calls
//     dispatch(ctx, "adamw", [&](auto device) { adamw(device, ...); });
#pragma once

#include "core/context.h"

namespace plumb {

struct Cpu {};

// Runs f for the device of `ctx`. Throws UsageError for a device this build has no kernels for.
template <class F>
void dispatch(const Context& ctx, const char* op, F&& f) {
    if (ctx.device == Device::cpu) return f(Cpu{});
    throw UsageError(fmt::format("{}: no CUDA kernel in this version; run with --device cpu", op));
}

// Devices the CUDA runtime reports, one line each; empty without CUDA or without a device.
std::string cuda_devices();

}  // namespace plumb
