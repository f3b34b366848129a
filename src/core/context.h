// Context: where an op runs, and in which frame. The first argument of every op.
#pragma once

#include "core/bf16.h"
#include "core/frame.h"
#include "core/profile.h"

namespace plumb {

struct Context {
    Device device = Device::cpu;
    int threads = 1;             // OpenMP threads an op may use; results do not depend on it
    Profile* profile = nullptr;  // times the parts of a step when there is one
    const Frame* frame = nullptr;

    Context in(const Frame& f) const {
        Context there = *this;
        there.frame = &f;
        return there;
    }
    // For what the host computes itself, of copies.
    Context on_host() const {
        Context here = *this;
        here.device = Device::cpu;
        return here;
    }
    // What a handle stands for here: to be asked once per op or site, not once per token. Empty
    // where nothing was declared; InternalError without a frame, or in one of another plan or
    // store.
    template <class T>
    View<T> operator()(const Tensor<T>& t) const {
        return here().view(t);
    }
    template <class S>
    S& operator()(const FrameState<S>& s) const {
        return here().state(s);
    }
    template <class Real>
    View<Real> value(const Param<Real>& p) const {
        return here().value(p);
    }
    template <class Real>
    View<Real> grad(const Param<Real>& p) const {
        return here().grad(p);
    }

    const Frame& here() const {
        if (!frame) no_frame();
        return *frame;
    }
    [[noreturn, gnu::cold]] static void no_frame();
};

// Tokens an op hands to one task. Reductions over tokens add up per chunk, in order, so that the
// result has the same bits for any number of threads.
inline constexpr Index kTokenChunk = 64;
inline Index n_chunks(Index n_tokens) { return (n_tokens + kTokenChunk - 1) / kTokenChunk; }

// Sets the pool's size and flush-to-zero on its threads; the caller's own has it only while a model
// computes (core/flush_to_zero.h). Call once before computing, and after changing ctx.threads.
void set_up_threads(const Context& ctx);

}  // namespace plumb
