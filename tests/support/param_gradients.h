// Gradients of a model against central differences.
#pragma once

#include "catch.h"
#include "check/compare.h"
#include "check/gradient_check.h"
#include "check/toy_stack.h"

namespace plumb::test {

// Gradients as they are in `params` against differences of loss(), seven numbers of each parameter.
template <class F>
void check_param_gradients(ParamStore<double>& params, F&& loss) {
    for (const ParamSpec& spec : params.specs()) {
        const ParamId id = params.find(spec.name);
        const auto grad = numbers(params.grad(id)), value = numbers(params.value(id));
        const std::size_t step = std::max<std::size_t>(1, grad.size() / 7);
        std::vector<double> got, want;
        for (std::size_t i = 0; i < grad.size(); i += step) {
            got.push_back(grad[i]);
            want.push_back(central_difference(loss, value[i]));
        }
        INFO(spec.name);
        CHECK(relative_error(std::span(got), std::span(want), 1e-4) <= 1e-7);
    }
}

}  // namespace plumb::test
