// Activations of the MLP, applied elementwise to the packed up projection.
// swiglu (Shazeer 2020): up (N, 2F) = [gate | value], a = silu(gate) value.  gelu: tanh form.
#pragma once

#include "core/dispatch.h"

namespace plumb {

enum class Activation : std::uint8_t { swiglu, gelu };

// up (N, 2F) or (N, F) -> a (N, F). Overwrites. Stored in T, computed in RealOf<T>.
template <class T>
void activation(const Context& ctx, Activation kind, View<const T> up, View<T> a);

// da (N, F) and the saved up -> dup (shape of up); also rewrites a (N, F), so that forward need not
// keep it. No two of the four may share memory.
template <class T>
void activation_backward(const Context& ctx, Activation kind, View<const T> up, View<const T> da,
                         View<T> dup, View<T> a);

// On a device, of arguments that fit.
template <class T>
void activation(Cpu, const Context& ctx, Activation kind, View<const T> up, View<T> a);
template <class T>
void activation(Cuda, const Context& ctx, Activation kind, View<const T> up, View<T> a);
template <class T>
void activation_backward(Cpu, const Context& ctx, Activation kind, View<const T> up,
                         View<const T> da, View<T> dup, View<T> a);
template <class T>
void activation_backward(Cuda, const Context& ctx, Activation kind, View<const T> up,
                         View<const T> da, View<T> dup, View<T> a);

}  // namespace plumb
