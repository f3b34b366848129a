// What the operations of a scalar program (scalar_program.h) compute of one, two or three numbers.
#pragma once

#include "mixers/rule.h"

#include <algorithm>
#include <cmath>

namespace plumb {

// f(the function); not called for the others: constants, sums of many numbers, matrices.
template <class N, class F>
[[gnu::always_inline]] inline void with_function(ScalarOp op, F&& f) {
    using std::exp, std::max, std::sqrt, std::tanh;
    using A = const N&;
    switch (op) {
        case ScalarOp::add:
            return f([](A a, A b) { return a + b; });
        case ScalarOp::subtract:
            return f([](A a, A b) { return a - b; });
        case ScalarOp::multiply:
            return f([](A a, A b) { return a * b; });
        case ScalarOp::add_product:
            return f([](A a, A b, A c) { return c + a * b; });
        case ScalarOp::subtract_product:
            return f([](A a, A b, A c) { return c - a * b; });
        case ScalarOp::max:
            return f([](A a, A b) { return max(a, b); });
        case ScalarOp::inverse:
            return f([](A a) { return N(1) / a; });
        case ScalarOp::exp:
            return f([](A a) { return exp(a); });
        case ScalarOp::sqrt:
            return f([](A a) { return sqrt(a); });
        case ScalarOp::tanh:
            return f([](A a) { return tanh(a); });
        case ScalarOp::sigmoid:
            return f([](A a) { return sigmoid(a); });
        default:
            return;
    }
}

}  // namespace plumb
