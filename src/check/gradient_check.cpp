#include "check/gradient_check.h"

#include "check/compare.h"

namespace plumb {

GradientError check_gradients(ToyStack<double>& stack) {
    const Context ctx;
    stack.params().zero_grad();
    stack.forward(ctx);
    stack.backward(ctx);

    struct Tensor {
        std::string name;
        std::span<double> values;
        std::vector<double> gradient;
    };
    std::vector<Tensor> tensors;
    double largest = 0;
    const auto add = [&](std::string name, View<double> values, View<double> gradient) {
        const auto g = numbers(gradient);
        tensors.push_back({std::move(name), numbers(values), {g.begin(), g.end()}});
        for (const double x : g) largest = worse(largest, std::abs(x));
    };
    add("v_0", stack.input(), stack.dinput());
    for (std::size_t k = 0; k < stack.params().specs().size(); ++k) {
        const ParamId id{static_cast<Index>(k)};
        add(stack.params().specs()[k].name, stack.params().value(id), stack.params().grad(id));
    }

    GradientError result;
    for (Tensor& t : tensors) {
        std::vector<double> numeric(t.values.size());
        for (std::size_t i = 0; i < numeric.size(); ++i)
            numeric[i] = central_difference([&] { return stack.forward(ctx); }, t.values[i]);
        const double error =
            relative_error(std::span(t.gradient), std::span(numeric), 1e-6 * largest);
        const bool new_worst = !std::isnan(result.worst) && !(error <= result.worst);
        if (result.n_checked == 0 || new_worst) result.where = t.name;
        result.worst = worse(result.worst, error);
        result.n_checked += std::ssize(numeric);
    }
    return result;
}

}  // namespace plumb
