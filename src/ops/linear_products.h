// The matrix products of one linear layer on a W laid out for them: what Linear is made of where
// plain gemm() is not best. Three versions: oneDNN's matmul primitives for bf16 and, forward only,
// for float; and float arithmetic on rounded operands where oneDNN or the CPU has no bf16 products.
#pragma once

#include "core/context.h"

#include <memory>

namespace plumb {

struct LinearShape {
    Index tokens, out, in;  // tokens: the usual number of a call
};

// Sums are float. Pointers are row-major and dense: x (n, In), y and dy (n, Out), dx (n, In),
// w and dw (Out, In).
template <class T>
class LinearProducts {
public:
    virtual ~LinearProducts() = default;

    virtual void declare(Plan& plan, const std::string& name) = 0;
    // Rounds w to T and lays it out for the products, in the frame of ctx.
    virtual void pack(const Context& ctx, const float* w) = 0;
    virtual void forward(const Context& ctx, Index n, const T* x, T* y) = 0;
    // y as it was summed.
    virtual void forward_sums(const Context& ctx, Index n, const T* x, float* y) = 0;
    virtual void backward_input(const Context& ctx, Index n, const T* dy, T* dx) = 0;
    // Adds to dw.
    virtual void backward_weight(const Context& ctx, Index n, const T* dy, const T* x,
                                 float* dw) = 0;
};

// nullptr without oneDNN, or where it has no such products for this CPU. T: Bf16, or float, which
// has forward alone.
template <class T>
std::unique_ptr<LinearProducts<T>> onednn_products(const LinearShape& shape);
// Widens to float and multiplies with gemm().
std::unique_ptr<LinearProducts<Bf16>> widening_products(const LinearShape& shape);

}  // namespace plumb
