#include "check/gradient_check.h"

#include "check/compare.h"
#include "core/rng.h"

namespace plumb {
namespace {

double size_of(std::span<const double> x) {
    double squares = 0;
    for (const double i : x) squares += i * i;
    return std::sqrt(squares);
}

}  // namespace

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

GradientError check_gradients(Transformer<double>& model) {
    const Context ctx{.device = model.plan().device()};
    auto& params = model.params();
    params.zero_grad();
    model.forward(ctx);
    model.backward(ctx);
    double largest = 0;
    for (Index k = 0; k < std::ssize(params.specs()); ++k)
        largest = worse(largest, size_of(fetch<double>(params.grad({k}))));

    GradientError result;
    for (Index k = 0; k < std::ssize(params.specs()); ++k) {
        const std::string& name = params.specs()[static_cast<std::size_t>(k)].name;
        const View<double> at = params.value({k});
        const std::vector<double> start = fetch<double>(at),
                                  gradient = fetch<double>(params.grad({k}));
        const double root = std::sqrt(static_cast<double>(start.size()));
        const CounterRng rng(1, "gradient_check/" + name);
        std::vector<double> d, moved = start;  // |d| is about 1
        double along = 0, step = 0;
        for (std::size_t i = 0; i < start.size(); ++i) {
            d.push_back(rng.normal(i) / root);
            along += gradient[i] * d[i];
        }
        const auto loss = [&] {
            for (std::size_t i = 0; i < start.size(); ++i) moved[i] = start[i] + step * d[i];
            put(at, moved.data());
            return model.forward(ctx);
        };
        const double numeric = central_difference(loss, step),
                     scale = std::max(size_of(gradient), 1e-3 * largest) / root,
                     error = std::abs(numeric - along) / scale;
        put(at, start.data());
        if (k == 0 || (!std::isnan(result.worst) && !(error <= result.worst))) result.where = name;
        result.worst = worse(result.worst, error);
        ++result.n_checked;
    }
    return result;
}

}  // namespace plumb
