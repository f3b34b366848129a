// Gradients against differences, in double.
#pragma once

#include "check/toy_stack.h"
#include "model/transformer.h"

#include <cmath>
#include <limits>

namespace plumb {

// df/dx by the four-point central difference; the error is of order step^4 f''''' / 30. Leaves x as
// it was.
template <class F>
double central_difference(F&& f, double& x, double step = 3e-4) {
    const double at = x;
    const auto value = [&](double offset) {
        x = at + offset;
        return static_cast<double>(f());
    };
    const double near = value(step) - value(-step), far = value(2 * step) - value(-2 * step);
    x = at;
    return (8 * near - far) / (12 * step);
}

// What a difference may be off by because f, a sum of about this size, is rounded: by an epsilon or
// so each time, 18 of them over 12 steps.
inline double difference_noise(double f, double step = 3e-4) {
    return 1.5 * std::numeric_limits<double>::epsilon() * std::abs(f) / step;
}

struct GradientError {
    double worst = 0;   // relative to the largest gradient of its tensor
    std::string where;  // that tensor's name; "v_0" for the input
    Index n_checked = 0;
};

// Every parameter and every number of v_0 of the stack, as they are now: one backward pass against
// differences of the loss. A tensor all of whose gradients lie under 1e-6 of the largest of all is
// compared on that scale.
GradientError check_gradients(ToyStack<double>& stack);

// Each parameter of the model, on its device: <gradient, d> in one random direction d against the
// difference of the loss along d, relative to |gradient| |d| / sqrt(numbers), which is what such a
// product comes to. What lies under 1e-3 of the largest gradient is compared on that scale.
GradientError check_gradients(Transformer<double>& model);

}  // namespace plumb
