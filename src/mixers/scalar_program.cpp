#include "mixers/scalar_program.h"

#include "core/check.h"
#include "mixers/sinkhorn.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace plumb {

// ---- tracing ------------------------------------------------------------------------------------

namespace {

// Of up to three numbers; those of fewer have the first again.
bool has_inputs(ScalarOp op) { return op > ScalarOp::constant && op < ScalarOp::sinkhorn; }

}  // namespace

// Numbers are counted as they come: u, p, then what is made of them.
struct ScalarProgram::Trace {
    struct Made {
        ScalarOp op;
        int a = 0, b = 0, c = 0;
        double constant = 0;
    };
    std::vector<Made> made;
    std::vector<int> matrix;  // what sinkhorn is of
    int size = 0, rounds = 0;
    std::map<std::tuple<ScalarOp, int, int, int, double>, int> known;

    int add(const Made& m) {
        const auto key = std::tuple(m.op, m.a, m.b, m.c, m.constant);
        const bool shared = m.op != ScalarOp::input && m.op != ScalarOp::entry;
        if (const auto found = known.find(key); shared && found != known.end())
            return found->second;
        made.push_back(m);
        return known[key] = static_cast<int>(made.size()) - 1;
    }
    int number(const Traced& x) {
        return x.at >= 0 ? x.at : add({.op = ScalarOp::constant, .constant = x.v});
    }
    // What number i is made of.
    template <class F>
    void each_input(int i, F&& f) const {
        const Made& m = made[static_cast<std::size_t>(i)];
        if (has_inputs(m.op)) f(m.a), f(m.b), f(m.c);
        if (m.op == ScalarOp::sinkhorn) std::for_each(matrix.begin(), matrix.end(), f);
        if (m.op == ScalarOp::entry) f(i - 1);  // the entry before it, or the matrix
    }
    std::vector<bool> needed(const std::vector<int>& outputs) const {
        std::vector<bool> all(made.size(), false);
        const auto need = [&](int i) { all[static_cast<std::size_t>(i)] = true; };
        for (const int i : outputs) need(i);
        for (int i = static_cast<int>(made.size()) - 1; i >= 0; --i)
            if (all[static_cast<std::size_t>(i)]) each_input(i, need);
        return all;
    }
    const Made* product(const Traced& x) const {
        if (x.at < 0) return nullptr;
        const Made& m = made[static_cast<std::size_t>(x.at)];
        return m.op == ScalarOp::multiply ? &m : nullptr;
    }
    static Trace*& now() {
        static thread_local Trace* trace = nullptr;
        return trace;
    }
    Trace() {
        require(!now(), "one trace at a time");
        now() = this;
    }
    ~Trace() { now() = nullptr; }
    Trace(const Trace&) = delete;
    Trace& operator=(const Trace&) = delete;
};

namespace {

double apply(ScalarOp op, double a, double b) {
    switch (op) {
        case ScalarOp::add:
            return a + b;
        case ScalarOp::subtract:
            return a - b;
        case ScalarOp::multiply:
            return a * b;
        case ScalarOp::max:
            return std::max(a, b);
        case ScalarOp::inverse:
            return 1 / a;
        case ScalarOp::exp:
            return std::exp(a);
        case ScalarOp::sqrt:
            return std::sqrt(a);
        case ScalarOp::tanh:
            return std::tanh(a);
        case ScalarOp::sigmoid:
            return sigmoid(a);
        default:
            throw InternalError("no operation of constants");
    }
}

bool is(const Traced& x, double v) { return x.at < 0 && x.v == v; }

Traced traced(int number) {
    Traced x;
    x.at = number;
    return x;
}

}  // namespace

Traced Traced::of(ScalarOp op, const Traced& a, const Traced& b) {
    if (a.at < 0 && b.at < 0) return apply(op, a.v, b.v);
    if (op == ScalarOp::add && is(a, 0)) return b;
    if ((op == ScalarOp::add || op == ScalarOp::subtract) && is(b, 0)) return a;
    if (op == ScalarOp::multiply && is(a, 1)) return b;
    if (op == ScalarOp::multiply && is(b, 1)) return a;
    ScalarProgram::Trace* trace = ScalarProgram::Trace::now();
    require(trace, "numbers of no trace");
    const auto with_product = [&](ScalarOp both, const Traced& c, const Traced& x) {
        const ScalarProgram::Trace::Made m = *trace->product(x);
        return traced(trace->add({both, m.a, m.b, trace->number(c)}));
    };
    if (op == ScalarOp::add && trace->product(b)) return with_product(ScalarOp::add_product, a, b);
    if (op == ScalarOp::add && trace->product(a)) return with_product(ScalarOp::add_product, b, a);
    if (op == ScalarOp::subtract && trace->product(b))
        return with_product(ScalarOp::subtract_product, a, b);
    const int left = trace->number(a), right = op <= ScalarOp::max ? trace->number(b) : left;
    return traced(trace->add({op, left, right, left}));
}

void sinkhorn(int k, int iters, Traced* x) {
    ScalarProgram::Trace* trace = ScalarProgram::Trace::now();
    require(trace && trace->matrix.empty(), "one sinkhorn a program");
    for (int i = 0; i < k * k; ++i) trace->matrix.push_back(trace->number(x[i]));
    trace->size = k, trace->rounds = iters;
    trace->add({ScalarOp::sinkhorn});
    for (int i = 0; i < k * k; ++i) x[i] = traced(trace->add({ScalarOp::entry}));
}

ScalarProgram::ScalarProgram(int n_u, int n_p, const Text& text) : n_u_(n_u), n_p_(n_p) {
    Trace trace;
    std::vector<Traced> inputs;
    for (int i = 0; i < n_u + n_p; ++i) inputs.push_back(traced(trace.add({ScalarOp::input})));
    std::vector<int> outputs;
    for (const Traced& x : text(inputs.data(), inputs.data() + n_u))
        outputs.push_back(trace.number(x));
    size_ = trace.size, rounds_ = trace.rounds;
    order(trace, outputs);
}

auto ScalarProgram::ref(int number, const std::vector<int>& place) const -> Ref {
    const auto at = [](int i) {
        require(i >= 0 && i < 1 << 14, "a scalar program of few numbers");
        return static_cast<std::uint16_t>(i);
    };
    if (number < n_u_) return {0, at(number)};
    if (number < n_u_ + n_p_) return {1, at(number - n_u_)};
    return {2, at(place[static_cast<std::size_t>(number)])};
}

// Takes all that is ready of the kind that has most of it, again and again; what no output needs is
// left out.
void ScalarProgram::order(const Trace& trace, const std::vector<int>& outputs) {
    const int n_inputs = n_u_ + n_p_, n_made = static_cast<int>(trace.made.size());
    const std::vector<bool> needed = trace.needed(outputs);
    std::vector<int> place(trace.made.size(), -1), sequence;
    const auto op = [&](int i) { return trace.made[static_cast<std::size_t>(i)].op; };
    const auto placed = [&](int i) {
        return i < n_inputs || place[static_cast<std::size_t>(i)] >= 0;
    };
    for (;;) {
        std::map<ScalarOp, std::vector<int>> waiting;
        for (int i = n_inputs; i < n_made; ++i) {
            bool ready =
                needed[static_cast<std::size_t>(i)] && !placed(i) && op(i) != ScalarOp::entry;
            trace.each_input(i, [&](int from) { ready = ready && placed(from); });
            if (ready) waiting[op(i)].push_back(i);
        }
        if (waiting.empty()) break;
        auto most = waiting.begin();  // constants, while there are any
        if (most->first != ScalarOp::constant)
            most = std::max_element(most, waiting.end(), [](const auto& a, const auto& b) {
                return a.second.size() < b.second.size();
            });
        const int begin = n_steps_;
        for (const int i : most->second)
            for (int e = i; e <= i + (op(i) == ScalarOp::sinkhorn ? size_ * size_ : 0); ++e) {
                place[static_cast<std::size_t>(e)] = n_steps_++;
                sequence.push_back(e);
            }
        groups_.push_back({most->first, begin, n_steps_});
    }
    for (const int i : sequence) {
        const Trace::Made& m = trace.made[static_cast<std::size_t>(i)];
        if (m.op == ScalarOp::constant) constants_.push_back(m.constant);
        steps_.push_back(has_inputs(m.op) ? Step{ref(m.a, place), ref(m.b, place), ref(m.c, place)}
                                          : Step{});
    }
    for (const int i : outputs) outputs_.push_back(ref(i, place));
    for (const int i : trace.matrix) matrix_.push_back(ref(i, place));
}

// ---- running ------------------------------------------------------------------------------------

namespace {

// A thread's memory for tiles, kept from one to the next.
template <class Real>
Lanes<Real>* scratch(int which, int n) {
    static thread_local std::vector<Lanes<Real>> memory[3];
    if (std::ssize(memory[which]) < n) memory[which].resize(static_cast<std::size_t>(n));
    return memory[which].data();
}

}  // namespace

// in: u, p, and x, the numbers of all steps.
template <class Real>
void ScalarProgram::run(const Lanes<Real>* const (&in)[3], Lanes<Real>* x,
                        Lanes<Real>* saved) const {
    using L = Lanes<Real>;
    const auto at = [&](const Ref& r) -> const L& { return in[r.of][r.at]; };
    for (const Group& group : groups_) {
        using A = const L&;
        const auto each = [&](auto f) {
            const Step* s = steps_.data();
            for (int i = group.begin; i < group.end; ++i)
                if constexpr (std::is_invocable_v<decltype(f), A>)
                    x[i] = f(at(s[i].a));
                else if constexpr (std::is_invocable_v<decltype(f), A, A>)
                    x[i] = f(at(s[i].a), at(s[i].b));
                else
                    x[i] = f(at(s[i].a), at(s[i].b), at(s[i].c));
        };
        switch (group.op) {
            case ScalarOp::constant:
                for (int i = group.begin; i < group.end; ++i)
                    x[i] = L(constants_[static_cast<std::size_t>(i)]);
                break;
            case ScalarOp::add:
                each([](A a, A b) { return a + b; });
                break;
            case ScalarOp::subtract:
                each([](A a, A b) { return a - b; });
                break;
            case ScalarOp::multiply:
                each([](A a, A b) { return a * b; });
                break;
            case ScalarOp::add_product:
                each([](A a, A b, A c) { return c + a * b; });
                break;
            case ScalarOp::subtract_product:
                each([](A a, A b, A c) { return c - a * b; });
                break;
            case ScalarOp::max:
                each([](A a, A b) { return max(a, b); });
                break;
            case ScalarOp::inverse:
                each([](A a) { return L(1) / a; });
                break;
            case ScalarOp::exp:
                each([](A a) { return exp(a); });
                break;
            case ScalarOp::sqrt:
                each([](A a) { return sqrt(a); });
                break;
            case ScalarOp::tanh:
                each([](A a) { return tanh(a); });
                break;
            case ScalarOp::sigmoid:
                each([](A a) { return sigmoid(a); });
                break;
            case ScalarOp::sinkhorn:
                for (int i = group.begin + 1; const Ref& from : matrix_) x[i++] = at(from);
                sinkhorn(size_, rounds_, x + group.begin + 1, saved);
                break;
            case ScalarOp::input:
            case ScalarOp::entry:
                break;
        }
    }
}

// g: dLoss/d(u, p, steps), of the steps that are outputs so far -> of all. Each operation takes the
// gradient of its number back to what it was made of.
template <class Real>
void ScalarProgram::pull(const Lanes<Real>* const (&in)[3], const Lanes<Real>* saved,
                         Lanes<Real>* const (&g)[3]) const {
    using L = Lanes<Real>;
    const L *x = in[2], *dx = g[2];
    const auto at = [&](const Ref& r) -> const L& { return in[r.of][r.at]; };
    const auto to = [&](const Ref& r) -> L& { return g[r.of][r.at]; };
    for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
        const auto each = [&](auto f) {  // f(step, gradient, number)
            for (int i = group->end - 1; i >= group->begin; --i)
                f(steps_[static_cast<std::size_t>(i)], L(dx[i]), x[i]);
        };
        using S = const Step&;
        using A = const L&;
        switch (group->op) {
            case ScalarOp::add:
                each([&](S s, A d, A) { to(s.a) += d, to(s.b) += d; });
                break;
            case ScalarOp::subtract:
                each([&](S s, A d, A) { to(s.a) += d, to(s.b) -= d; });
                break;
            case ScalarOp::multiply:
                each([&](S s, A d, A) { to(s.a) += d * at(s.b), to(s.b) += d * at(s.a); });
                break;
            case ScalarOp::add_product:
                each([&](S s, A d, A) {
                    to(s.a) += d * at(s.b), to(s.b) += d * at(s.a), to(s.c) += d;
                });
                break;
            case ScalarOp::subtract_product:
                each([&](S s, A d, A) {
                    to(s.a) -= d * at(s.b), to(s.b) -= d * at(s.a), to(s.c) += d;
                });
                break;
            case ScalarOp::inverse:
                each([&](S s, A d, A y) { to(s.a) -= d * y * y; });
                break;
            case ScalarOp::exp:
                each([&](S s, A d, A y) { to(s.a) += d * y; });
                break;
            case ScalarOp::sqrt:
                each([&](S s, A d, A y) { to(s.a) += L(0.5) * d / y; });
                break;
            case ScalarOp::tanh:
                each([&](S s, A d, A y) { to(s.a) += d * (L(1) - y * y); });
                break;
            case ScalarOp::sigmoid:
                each([&](S s, A d, A y) { to(s.a) += d * y * (L(1) - y); });
                break;
            case ScalarOp::sinkhorn:
                sinkhorn_backward(size_, rounds_, saved, g[2] + group->begin + 1);
                for (int i = group->begin + 1; const Ref& from : matrix_) to(from) += dx[i++];
                break;
            case ScalarOp::max:
            case ScalarOp::constant:
            case ScalarOp::input:
            case ScalarOp::entry:
                break;
        }
    }
}

template <class Real>
void ScalarProgram::forward(const Lanes<Real>* u, const Lanes<Real>* p, Lanes<Real>* out) const {
    Lanes<Real>* x = scratch<Real>(0, n_steps_);
    const Lanes<Real>* const in[3] = {u, p, x};
    run<Real>(in, x, nullptr);
    for (const Ref& r : outputs_) *out++ = in[r.of][r.at];
}

template <class Real>
void ScalarProgram::backward(const Lanes<Real>* u, const Lanes<Real>* p, const Lanes<Real>* dout,
                             Lanes<Real>* du, Lanes<Real>* dp) const {
    Lanes<Real>*x = scratch<Real>(0, n_steps_), *dx = scratch<Real>(1, n_steps_),
    *saved = scratch<Real>(2, sinkhorn_saves(size_, rounds_));
    const Lanes<Real>* const in[3] = {u, p, x};
    Lanes<Real>* const g[3] = {du, dp, dx};
    run<Real>(in, x, saved);
    std::fill_n(du, n_u_, Lanes<Real>(0));
    std::fill_n(dx, n_steps_, Lanes<Real>(0));
    for (const Ref& r : outputs_) g[r.of][r.at] += *dout++;
    pull<Real>(in, saved, g);
}

#define PLUMB_INSTANTIATE(Real)                                                                \
    template void ScalarProgram::forward(const Lanes<Real>*, const Lanes<Real>*, Lanes<Real>*) \
        const;                                                                                 \
    template void ScalarProgram::backward(const Lanes<Real>*, const Lanes<Real>*,              \
                                          const Lanes<Real>*, Lanes<Real>*, Lanes<Real>*) const;
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
