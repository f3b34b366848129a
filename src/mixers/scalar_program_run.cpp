// Runs the operations of a scalar program, forward and back.
#include "mixers/scalar_functions.h"
#include "mixers/sinkhorn.h"

namespace plumb {
namespace {

// A thread's memory, kept from one run to the next.
template <class N>
N* scratch(int which, int n) {
    static thread_local std::vector<N> memory[3];
    if (std::ssize(memory[which]) < n) memory[which].resize(static_cast<std::size_t>(n));
    return memory[which].data();
}

}  // namespace

// in: u, p, and x, the numbers of all steps.
template <class N>
void ScalarProgram::run(const N* const (&in)[3], N* x, N* saved) const {
    const auto at = [&](const Ref& r) -> const N& { return in[r.of][r.at]; };
    for (const Group& group : groups_) {
        using A = const N&;
        const Step* s = steps_.data();
        with_function<N>(
            group.op, [&](auto f) __attribute__((always_inline)) {
                for (int i = group.begin; i < group.end; ++i)
                    if constexpr (std::is_invocable_v<decltype(f), A>)
                        x[i] = f(at(s[i].a));
                    else if constexpr (std::is_invocable_v<decltype(f), A, A>)
                        x[i] = f(at(s[i].a), at(s[i].b));
                    else
                        x[i] = f(at(s[i].a), at(s[i].b), at(s[i].c));
            });
        if (group.op == ScalarOp::constant) std::copy(constants_.begin(), constants_.end(), x);
        if (group.op == ScalarOp::inner)
            for (int i = group.begin; i < group.end; ++i) {
                N sum(0);
                for_pairs(s[i], [&](const Ref& a, const Ref& b) { sum += at(a) * at(b); });
                x[i] = sum;
            }
        if (group.op == ScalarOp::sinkhorn) {
            for (int i = group.begin + 1; const Ref& from : matrix_) x[i++] = at(from);
            sinkhorn(size_, rounds_, x + group.begin + 1, saved);
        }
    }
}

// g: dLoss/d(u, p, steps), of the steps that are outputs so far -> of all. Each operation takes the
// gradient of its number back to what it was made of.
template <class N>
void ScalarProgram::pull(const N* const (&in)[3], const N* saved, N* const (&g)[3]) const {
    const N *x = in[2], *dx = g[2];
    const auto at = [&](const Ref& r) -> const N& { return in[r.of][r.at]; };
    const auto to = [&](const Ref& r) -> N& { return g[r.of][r.at]; };
    const auto product = [&](const Ref& a, const Ref& b, const N& d) {
        to(a) += d * at(b), to(b) += d * at(a);
    };
    for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
        const auto each = [&](auto f) {  // f(step, gradient, number)
            for (int i = group->end - 1; i >= group->begin; --i)
                f(steps_[static_cast<std::size_t>(i)], N(dx[i]), x[i]);
        };
        using S = const Step&;
        using A = const N&;
        switch (group->op) {
            case ScalarOp::add:
                each([&](S s, A d, A) { to(s.a) += d, to(s.b) += d; });
                break;
            case ScalarOp::subtract:
                each([&](S s, A d, A) { to(s.a) += d, to(s.b) -= d; });
                break;
            case ScalarOp::multiply:
                each([&](S s, A d, A) { product(s.a, s.b, d); });
                break;
            case ScalarOp::add_product:
                each([&](S s, A d, A) { product(s.a, s.b, d), to(s.c) += d; });
                break;
            case ScalarOp::subtract_product:
                each([&](S s, A d, A) { product(s.a, s.b, -d), to(s.c) += d; });
                break;
            case ScalarOp::inner:
                each([&](S s, A d, A) {
                    for_pairs(s, [&](const Ref& a, const Ref& b) { product(a, b, d); });
                });
                break;
            case ScalarOp::inverse:
                each([&](S s, A d, A y) { to(s.a) -= d * y * y; });
                break;
            case ScalarOp::exp:
                each([&](S s, A d, A y) { to(s.a) += d * y; });
                break;
            case ScalarOp::sqrt:
                each([&](S s, A d, A y) { to(s.a) += N(0.5) * d / y; });
                break;
            case ScalarOp::tanh:
                each([&](S s, A d, A y) { to(s.a) += d * (N(1) - y * y); });
                break;
            case ScalarOp::sigmoid:
                each([&](S s, A d, A y) { to(s.a) += d * y * (N(1) - y); });
                break;
            case ScalarOp::sinkhorn:
                sinkhorn_backward(size_, rounds_, saved, g[2] + group->begin + 1);
                for (int i = group->begin + 1; const Ref& from : matrix_) to(from) += dx[i++];
                break;
            default:  // max, constants
                break;
        }
    }
}

int ScalarProgram::n_saved() const { return matrix_.empty() ? 0 : sinkhorn_saves(size_, rounds_); }

template <class N>
void ScalarProgram::forward(const N* u, const N* p, N* out) const {
    N* x = scratch<N>(0, n_steps_);
    const N* const in[3] = {u, p, x};
    run<N>(in, x, nullptr);
    for (const Ref& r : outputs_) *out++ = in[r.of][r.at];
}

template <class N>
void ScalarProgram::backward(const N* u, const N* p, const N* dout, N* du, N* dp) const {
    N *x = scratch<N>(0, n_steps_), *dx = scratch<N>(1, n_steps_),
      *saved = scratch<N>(2, n_saved());
    const N* const in[3] = {u, p, x};
    N* const g[3] = {du, dp, dx};
    run<N>(in, x, saved);
    std::fill_n(dx, n_steps_, N(0));
    for (const Ref& r : outputs_) g[r.of][r.at] += *dout++;
    pull<N>(in, saved, g);
}

#define PLUMB_INSTANTIATE(...)                                                                 \
    template void ScalarProgram::forward(const __VA_ARGS__*, const __VA_ARGS__*, __VA_ARGS__*) \
        const;                                                                                 \
    template void ScalarProgram::backward(const __VA_ARGS__*, const __VA_ARGS__*,              \
                                          const __VA_ARGS__*, __VA_ARGS__*, __VA_ARGS__*) const;
PLUMB_INSTANTIATE(Lanes<float>)
PLUMB_INSTANTIATE(Lanes<double>)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
