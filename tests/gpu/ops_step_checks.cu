#include "gpu/ops_checks.h"
#include "ops/step_scalars.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

Numbers as_numbers(const StepScalars& s) {
    return {s.loss, s.bad_batch, s.bad_loss, s.grad_square, s.grad_norm, s.grad_scale};
}

}  // namespace

// The CPU's bits, of steps that go well and of those that do not.
void check_step_scalars(Report& report) {
    struct Step {
        const char* name;
        Numbers losses, overflows;
        double grad_square, clip;
    };
    const Step steps[] = {{"well", {2.1, 1.9, 2.3}, {0, 0, 0}, 0.49, 1},
                          {"clipped", {2.1}, {0}, 17, 1},
                          {"no clip", {2.1}, {0}, 17, 0},
                          {"a loss that is too large", {2, 99, 98}, {0, 0, 0}, 0.5, 1},
                          {"a loss that is no number", {2, NAN}, {0, 0}, 0.5, 1},
                          {"overflow", {2, 3}, {1, 0}, 0.5, 1},
                          {"a norm that is no number", {2}, {0}, NAN, 1},
                          {"a norm without end", {2}, {0}, INFINITY, 1}};
    for (const Step& s : steps)
        check_op(report, std::string("step scalars: ") + s.name, [&] {
            Buffer<StepScalars> step(1);
            const Buffer<double> losses(s.losses), overflows(s.overflows);
            const auto count = static_cast<long>(s.losses.size());
            for (long i = 0; i < count; ++i) {
                const auto at = static_cast<std::size_t>(i);
                gpu::count_loss(stream(), {i, count, 50}, losses.at(at), overflows.at(at), step);
            }
            StepScalars now = step.raw(0, 1)[0];
            Outputs o;
            now.grad_square = s.grad_square;
            step.put_raw({now});
            gpu::clip_factor(stream(), s.clip, step);
            o.add_exact("all", as_numbers(step.raw(0, 1)[0]),
                        step_reference(s.losses, s.overflows, 50, s.grad_square, s.clip));
            return o;
        });
}

}  // namespace plumb::test
