// An op checks its arguments once and then calls
//     dispatch(ctx, "adamw", [&](auto device) { adamw(device, ...); });
#pragma once

#include "core/context.h"

namespace plumb {

struct Cpu {};
struct Cuda {};

// Runs f for the device of `ctx`. Throws UsageError for a device this build has no kernels for.
template <class F>
void dispatch(const Context& ctx, [[maybe_unused]] const char* op, F&& f) {
    if (ctx.device == Device::cpu) return f(Cpu{});
#ifdef PLUMB_HAVE_CUDA
    return f(Cuda{});
#else
    throw UsageError(fmt::format("{}: this plumb was built without CUDA; use --device cpu", op));
#endif
}

}  // namespace plumb
