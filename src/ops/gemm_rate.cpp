#include "ops/gemm_rate.h"

#include "core/clock.h"
#include "core/gpu.h"
#include "ops/linear.h"

#include <algorithm>
#include <vector>

namespace plumb {
namespace {

// A Linear<T> with numbers to multiply.
template <class T>
class Rig {
public:
    using Real = RealOf<T>;

    // Everything lies where a model has it. Tensors of a frame begin with cache lines: operands off
    // their boundaries cost 10 to 20 %.
    Rig(const Context& ctx, Index tokens, Index out, Index in) : params_(ctx.device) {
        const Shape x{{'N', tokens}, {'I', in}}, y{{'N', tokens}, {'O', out}};
        Plan plan(ctx.device);
        const Tensor<T> in_x = plan.saved<T>("x", x), in_dx = plan.saved<T>("dx", x);
        const Tensor<T> in_y = plan.saved<T>("y", y);
        const Param<Real> w =
            params_.declare({.name = "w", .shape = {{'O', out}, {'I', in}}, .init = {}});
        linear_ = Linear<T>(plan, "linear", w, tokens);
        params_.allocate(1);
        frame_ = std::make_unique<Frame>(std::move(plan), params_);
        ctx_ = ctx.in(*frame_);
        x_ = ctx_(in_x), dx_ = ctx_(in_dx), y_ = ctx_(in_y);
        fill(x_), fill(dx_), fill(y_), fill(ctx_.value(w)), fill(ctx_.grad(w));
        linear_.prepare(ctx_);
    }

    double seconds(LinearCall call) {
        return seconds_of([&] {
            if (call == LinearCall::forward) linear_.forward(ctx_, x_, y_);
            if (call == LinearCall::dx) linear_.backward_input(ctx_, y_, dx_);
            if (call == LinearCall::dw) linear_.backward_weight(ctx_, y_, x_);
            if (ctx_.device == Device::cuda) gpu::wait();
        });
    }

private:
    template <class N>
    static void fill(View<N> x) {
        std::vector<N> numbers(static_cast<std::size_t>(x.count()));
        for (std::size_t i = 0; i < numbers.size(); ++i)
            numbers[i] = static_cast<N>(static_cast<float>(i % 13) - 6.0f);
        put(x, numbers.data());
    }

    ParamStore<Real> params_;
    Linear<T> linear_;
    std::unique_ptr<Frame> frame_;
    Context ctx_;
    View<T> x_, dx_, y_;
};

}  // namespace

template <class T>
double gemm_seconds(const Context& ctx, LinearCall call, Index tokens, Index out, Index in,
                    int repeats) {
    require(repeats > 0, "gemm_seconds: no repeats");
    Rig<T> rig({ctx.device, ctx.threads}, tokens, out, in);
    for (int warm_up = 0; warm_up < 2; ++warm_up) rig.seconds(call);
    std::vector<double> times(static_cast<std::size_t>(repeats));
    for (double& t : times) t = rig.seconds(call);
    const auto middle = times.begin() + repeats / 2;
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

template <class T>
double measure_gemm_rate(const Context& ctx, Index m, Index n, Index k, double seconds) {
    Rig<T> rig({ctx.device, ctx.threads}, m, n, k);
    rig.seconds(LinearCall::forward);
    double best = 0, total = 0;
    do {
        const double time = rig.seconds(LinearCall::forward);
        best = std::max(best, 2.0 * static_cast<double>(m * n * k) / time);
        total += time;
    } while (total < seconds);
    return best;
}

#define PLUMB_INSTANTIATE(T)                                                               \
    template double gemm_seconds<T>(const Context&, LinearCall, Index, Index, Index, int); \
    template double measure_gemm_rate<T>(const Context&, Index, Index, Index, double);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
