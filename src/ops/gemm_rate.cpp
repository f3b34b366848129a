#include "ops/gemm_rate.h"

#include "core/clock.h"
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

    // Everything lies in an arena: operands off the boundaries of cache lines cost 10 to 20 %.
    Rig(const Context& ctx, Index tokens, Index out, Index in) : ctx_(ctx) {
        const Shape x{{'N', tokens}, {'I', in}}, y{{'N', tokens}, {'O', out}};
        const Shape w{{'O', out}, {'I', in}};
        Plan plan;
        const TensorId id_x = plan.declare<T>("x", x, Lifetime::saved);
        const TensorId id_dx = plan.declare<T>("dx", x, Lifetime::saved);
        const TensorId id_y = plan.declare<T>("y", y, Lifetime::saved);
        const TensorId id_w = plan.declare<Real>("w", w, Lifetime::saved);
        const TensorId id_dw = plan.declare<Real>("dw", w, Lifetime::saved);
        linear_.declare(plan, "linear", tokens, out, in);
        arena_ = std::make_unique<Arena>(std::move(plan));
        x_ = arena_->view<T>(id_x), dx_ = arena_->view<T>(id_dx), y_ = arena_->view<T>(id_y);
        const auto w_view = arena_->view<Real>(id_w), dw_view = arena_->view<Real>(id_dw);
        fill(x_), fill(dx_), fill(y_), fill(w_view), fill(dw_view);
        linear_.bind(*arena_, w_view, dw_view);
        linear_.prepare(ctx_);
    }

    double seconds(LinearCall call) {
        return seconds_of([&] {
            if (call == LinearCall::forward) linear_.forward(ctx_, x_, y_);
            if (call == LinearCall::dx) linear_.backward_input(ctx_, y_, dx_);
            if (call == LinearCall::dw) linear_.backward_weight(ctx_, y_, x_);
        });
    }

private:
    template <class N>
    static void fill(View<N> x) {
        for (Index i = 0; i < x.count(); ++i)
            x.data[i] = static_cast<N>(static_cast<float>(i % 13) - 6.0f);
    }

    Context ctx_;
    View<T> x_, dx_, y_;
    std::unique_ptr<Arena> arena_;
    Linear<T> linear_;
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
