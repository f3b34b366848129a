// Context: where an op runs. The first argument of every op.
#pragma once

#include "core/bf16.h"
#include "core/profile.h"
#include "core/view.h"

namespace plumb {

struct Context {
    Device device = Device::cpu;
    int threads = 1;             // OpenMP threads an op may use; results do not depend on it
    Profile* profile = nullptr;  // times the parts of a step when there is one
};

// Tokens an op hands to one task. Reductions over tokens add up per chunk, in order, so that the
// result has the same bits for any number of threads.
inline constexpr Index kTokenChunk = 64;
inline Index n_chunks(Index n_tokens) { return (n_tokens + kTokenChunk - 1) / kTokenChunk; }

// Sets the pool's size and flush-to-zero on its threads; the caller's own has it only while a model
// computes (core/flush_to_zero.h). Call once before computing, and after changing ctx.threads.
void set_up_threads(const Context& ctx);

}  // namespace plumb
