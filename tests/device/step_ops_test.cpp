// What ends a step: loss, norms, optimizers.
#include "device/on_both.h"
#include "ops/adamw.h"
#include "ops/cross_entropy.h"
#include "ops/muon.h"
#include "ops/pre_norm.h"
#include "ops/reduce.h"
#include "ops/step_scalars.h"

namespace plumb::test {

TEST_CASE("device: cross_entropy", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        using Real = RealOf<T>;
        on_both(op_name<T>("cross_entropy", s.N, s.C), [&](OnDevice& d) {
            Numbers of = ids(s.N, static_cast<int>(s.C));
            if (s.N > 1) of[1] = -1;
            const auto targets = d.put<std::int32_t>(of, {{'N', s.N}});
            const Shape wide = matrix_shape(s.N, s.C);
            const auto logits = d.put<Real>(some<Real>("logits", s.N * s.C, 4), wide);
            const auto losses = d.room<Real>({{'N', s.N}}), again = d.room<Real>({{'N', s.N}});
            const auto scored = d.room<double>({{'S', 1}}), mean = d.room<double>({{'S', 1}});
            View<T> dlogits = d.room<T>(wide);
            if constexpr (sizeof(T) == sizeof(Real)) dlogits = logits;  // in place
            n_scored(d.ctx, targets, scored);
            cross_entropy<Real>(d.ctx, logits, targets, losses);
            mean_loss<Real>(d.ctx, losses, scored, mean);
            cross_entropy_gradient<T>(d.ctx, logits, targets, again, Real(0.25), scored, dlogits);
            d.left("scored", scored, 0);
            d.left("scored, as the host has it", static_cast<double>(n_scored(d.ctx, targets)));
            d.left("losses", losses, TypeName<Real>::bound);
            d.left("losses with gradients", again, TypeName<Real>::bound);
            d.left("dlogits", dlogits, TypeName<T>::bound);
            d.left("mean", mean, TypeName<Real>::bound);
        });
    });
}

TEST_CASE("device: the scalars of a step", "[device]") {
    struct Step {
        Numbers losses;
        double overflow, grad, clip;
    };
    const Step steps[] = {{{2.5, 1.5, 2}, 0, 0.75, 1}, {{2}, 0, 17, 1},   {{2}, 0, 17, 0},
                          {{2, 99, 98}, 0, 0.5, 1},    {{2, 3}, 2, 1, 1}, {{2}, 0, 1e200, 1}};
    for (const Step& s : steps)
        on_both(fmt::format("clip {} of {}", s.clip, s.grad), [&](OnDevice& d) {
            const auto step = d.room<StepScalars>({{'S', 1}});
            const auto overflow = d.put<double>({s.overflow}, {{'S', 1}});
            const Index count = std::ssize(s.losses);
            for (Index i = 0; i < count; ++i)
                count_loss(d.ctx, {i, count, 50},
                           d.put<double>({s.losses[static_cast<std::size_t>(i)]}, {{'S', 1}}),
                           overflow, step);
            const auto grad = d.put<double>({s.grad}, {{'P', 1}});
            total_dot<double>(d.ctx, grad, grad, scalar_of(step, &StepScalars::grad_square));
            clip_factor(d.ctx, s.clip, step);
            for (double StepScalars::*which :
                 {&StepScalars::loss, &StepScalars::bad_batch, &StepScalars::bad_loss,
                  &StepScalars::grad_square, &StepScalars::grad_norm, &StepScalars::grad_scale})
                d.left("a scalar", read_scalar(scalar_of(step, which)));
        });
}

TEST_CASE("device: adamw", "[device]") {
    for_reals([](auto t) {
        using Real = decltype(t);
        for (const Index n : {7, 8, 65, 264, 5003})
            on_both(op_name<Real>("adamw", 1, n), [&](OnDevice& d) {
                const Shape all{{'P', n}};
                Numbers squares = some<Real>("v", n, 0.1);
                for (double& x : squares) x = std::abs(x);
                const auto w = d.put<Real>(some<Real>("w", n), all),
                           m = d.put<Real>(some<Real>("m", n, 0.1), all),
                           v = d.put<Real>(squares, all);
                const auto grad = d.put<Real>(some<Real>("grad", n), all);
                std::vector<UpdateRange> ranges{{n / 3, true, true, 0.5}, {n / 2, false}};
                // The same ranges twice, others, more, none; then a step that changes nothing.
                for (Index step = 1; step <= 6; ++step) {
                    if (step == 3) ranges[0].trained = false;
                    if (step == 4) ranges.push_back({n - 1, true, true, 2});
                    if (step == 5) ranges.clear();
                    const auto scale = d.put<double>({step == 6 ? 0.0 : 0.75}, {{'S', 1}});
                    adamw<Real>(d.ctx, {3e-3, 0.9, 0.99, 1e-8, 0.1, scale, step}, w, grad, m, v,
                                ranges);
                    d.left(fmt::format("w {}", step), w, TypeName<Real>::bound);
                }
                d.left("m", m, TypeName<Real>::bound);
                d.left("v", v, TypeName<Real>::bound);
            });
    });
}

TEST_CASE("device: muon's passes over numbers", "[device]") {
    for_reals([](auto t) {
        using Real = decltype(t);
        for (const auto& [R, C] : kDeviceShapes)
            for (const double scale : {0.75, 0.0})
                on_both(op_name<Real>("muon", R, C), [&, R = R, C = C](OnDevice& d) {
                    const Shape s = matrix_shape(R, C), side = matrix_shape(R, R);
                    const auto factor = d.put<double>({scale}, {{'S', 1}});
                    const auto square = d.put<double>({7}, {{'S', 1}});
                    const auto grad = d.put<Real>(some<Real>("grad", R * C), s),
                               momentum = d.put<Real>(some<Real>("momentum", R * C), s),
                               x = d.put<Real>(some<Real>("x", R * C), s),
                               w = d.put<Real>(some<Real>("w", R * C), s),
                               gram = d.put<Real>(some<Real>("gram", R * R), side);
                    const auto passes = [&](auto device) {
                        muon_look_ahead<Real>(device, d.ctx, Real(0.9), factor, grad, momentum, x);
                        muon_normalise<Real>(device, d.ctx, square, 1e-7, x);
                        muon_add_diagonal<Real>(device, d.ctx, Real(3.4), gram);
                        muon_update<Real>(device, d.ctx, factor, Real(0.9), Real(0.1), x, w);
                    };
                    d.ctx.device == Device::cpu ? passes(Cpu{}) : passes(Cuda{});
                    d.left("momentum", momentum, TypeName<Real>::bound);
                    d.left("x", x, TypeName<Real>::bound);
                    d.left("gram", gram, TypeName<Real>::bound);
                    d.left("w", w, TypeName<Real>::bound);
                });
    });
}

TEST_CASE("device: the pre-norm", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        using Real = RealOf<T>;
        for (const bool raw : {false, true})
            on_both(op_name<T>(raw ? "raw" : "norm", s.N, s.C), [&](OnDevice& d) {
                const Shape wide = matrix_shape(s.N, s.C);
                Numbers one_over(static_cast<std::size_t>(s.N));
                for (std::size_t n = 0; n < one_over.size(); ++n)
                    one_over[n] = 0.5 + 0.25 * static_cast<double>(n % 7);
                PreNorm<T> norm{.xhat = d.put<T>(some<T>("xhat", s.N * s.C), wide),
                                .rstd = {},
                                .gain = d.put<Real>(some<Real>("gain", s.C), {{'C', s.C}}),
                                .x = d.room<T>(wide),
                                .eps = Real(1e-5),
                                .dx = d.put<T>(some<T>("dx", s.N * s.C), wide),
                                .dgain = d.room<Real>(matrix_shape(n_chunks(s.N), s.C))};
                if (!raw) norm.rstd = d.put<Real>(one_over, {{'N', s.N}});
                const auto h = d.room<Real>(wide), of_h = d.room<Real>(wide);
                apply_gain<T>(d.ctx, norm.xhat, norm.gain, norm.x);
                norm_values<T>(d.ctx, norm, h);
                norm_gradients<T>(d.ctx, norm, of_h);
                d.left("x", norm.x, 0);
                d.left("h", h, 0);
                d.left("D", of_h, TypeName<Real>::bound);
            });
    });
}

TEST_CASE("device: the first site where a square overflowed", "[device]") {
    for_reals([](auto t) {
        using Real = decltype(t);
        for (const Index n : {1, 5, 300})
            on_both(op_name<Real>("note_overflow", n, 1), [&](OnDevice& d) {
                Numbers rstd(static_cast<std::size_t>(n), 0.5);
                const auto first = d.put<double>({0}, {{'S', 1}});
                const auto note = [&](int l) {
                    note_overflow<Real>(d.ctx, d.put<Real>(rstd, {{'N', n}}), l, first);
                    d.left(fmt::format("after {}", l), first, 0);
                };
                note(1);
                rstd.back() = 0;
                note(2);
                note(3);
                CHECK(d.all()[0].numbers[0] == 0);
                CHECK(d.all()[2].numbers[0] == 2);
            });
    });
}

}  // namespace plumb::test
