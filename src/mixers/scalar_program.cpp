// A rule's text becomes operations in order; scalar_program_run.cpp runs them.
#include "mixers/scalar_program.h"

#include "core/check.h"
#include "mixers/scalar_functions.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace plumb {
namespace {

// Of up to three numbers; those of fewer have the first again.
bool has_inputs(ScalarOp op) {
    return op > ScalarOp::constant && op < ScalarOp::sinkhorn && op != ScalarOp::inner;
}

}  // namespace

// Numbers are counted as they come: u, p, then what is made of them.
struct ScalarProgram::Trace {
    struct Made {
        ScalarOp op;
        int a = 0, b = 0, c = 0;  // inner: of pairs a .. b-1
        double constant = 0;
    };
    std::vector<Made> made;
    std::vector<int> pairs;   // what inners are of
    std::vector<int> matrix;  // what sinkhorn is of
    int size = 0, rounds = 0;
    std::map<std::tuple<ScalarOp, int, int, int, double>, int> known;

    int add(const Made& m) {
        const int next = static_cast<int>(made.size());
        if (m.op != ScalarOp::input && m.op != ScalarOp::entry) {
            const auto key = std::tuple(m.op, m.a, m.b, m.c, m.constant);
            if (const auto [at, is_new] = known.emplace(key, next); !is_new) return at->second;
        }
        made.push_back(m);
        return next;
    }
    int number(const Traced& x) {
        return x.at >= 0 ? x.at : add({.op = ScalarOp::constant, .constant = x.v});
    }
    // What number i is made of.
    template <class F>
    void each_input(int i, F&& f) const {
        const Made& m = made[static_cast<std::size_t>(i)];
        if (has_inputs(m.op)) f(m.a), f(m.b), f(m.c);
        if (m.op == ScalarOp::inner) std::for_each(pairs.begin() + m.a, pairs.begin() + m.b, f);
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
    double y = 0;
    with_function<double>(op, [&](auto f) {
        if constexpr (std::is_invocable_v<decltype(f), double>)
            y = f(a);
        else if constexpr (std::is_invocable_v<decltype(f), double, double>)
            y = f(a, b);
    });
    return y;
}

Traced traced(int number) {
    Traced x;
    x.at = number;
    return x;
}

}  // namespace

Traced Traced::of(ScalarOp op, const Traced& a, const Traced& b) {
    if (a.at < 0 && b.at < 0) return apply(op, a.v, b.v);
    if (op == ScalarOp::add && a.is(0)) return b;
    if ((op == ScalarOp::add || op == ScalarOp::subtract) && b.is(0)) return a;
    if (op == ScalarOp::multiply && a.is(1)) return b;
    if (op == ScalarOp::multiply && b.is(1)) return a;
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

Traced inner(int n, const Traced* a, const Traced* b) {
    ScalarProgram::Trace* trace = ScalarProgram::Trace::now();
    require(trace, "numbers of no trace");
    const auto begin = static_cast<int>(trace->pairs.size());
    for (int i = 0; i < n; ++i)
        for (const Traced* x : {a + i, b + i}) trace->pairs.push_back(trace->number(*x));
    return traced(trace->add({ScalarOp::inner, begin, static_cast<int>(trace->pairs.size())}));
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
    put(trace, order(trace, outputs), outputs);
}

// Takes all that is ready of the kind that has most of it, again and again; what no output needs is
// left out. Returns the numbers in order.
std::vector<int> ScalarProgram::order(const Trace& trace, const std::vector<int>& outputs) {
    const auto op = [&](int i) { return trace.made[static_cast<std::size_t>(i)].op; };
    const int n_inputs = n_u_ + n_p_, n_made = static_cast<int>(trace.made.size());
    const std::vector<bool> needed = trace.needed(outputs);
    std::vector<std::vector<int>> users(trace.made.size());  // of numbers that are steps
    std::vector<int> missing(trace.made.size(), 0), sequence;
    std::map<ScalarOp, std::vector<int>> waiting;
    const auto arrive = [&](int i) {
        if (op(i) != ScalarOp::entry) waiting[op(i)].push_back(i);
    };
    for (int i = n_inputs; i < n_made; ++i) {
        if (!needed[static_cast<std::size_t>(i)]) continue;
        trace.each_input(i, [&](int from) {
            if (from < n_inputs) return;
            users[static_cast<std::size_t>(from)].push_back(i);
            ++missing[static_cast<std::size_t>(i)];
        });
        if (missing[static_cast<std::size_t>(i)] == 0) arrive(i);
    }
    while (!waiting.empty()) {
        auto most = waiting.begin();  // constants, while there are any
        if (most->first != ScalarOp::constant)
            most = std::max_element(most, waiting.end(), [](const auto& a, const auto& b) {
                return a.second.size() < b.second.size();
            });
        auto group = waiting.extract(most);
        std::sort(group.mapped().begin(), group.mapped().end());
        const auto begin = sequence.size();
        for (const int i : group.mapped())
            for (int e = i; e <= i + (op(i) == ScalarOp::sinkhorn ? size_ * size_ : 0); ++e)
                sequence.push_back(e);
        groups_.push_back(
            {group.key(), static_cast<int>(begin), static_cast<int>(sequence.size())});
        for (std::size_t s = begin; s < sequence.size(); ++s)
            for (const int user : users[static_cast<std::size_t>(sequence[s])])
                if (--missing[static_cast<std::size_t>(user)] == 0) arrive(user);
    }
    return sequence;
}

auto ScalarProgram::ref(int number, const std::vector<int>& place) const -> Ref {
    const auto at = [](int i) {
        require(i >= 0 && i < 1 << 30, "a number of the program");
        return static_cast<std::uint32_t>(i);
    };
    if (number < n_u_) return {0, at(number)};
    if (number < n_u_ + n_p_) return {1, at(number - n_u_)};
    return {2, at(place[static_cast<std::size_t>(number)])};
}

void ScalarProgram::put(const Trace& trace, const std::vector<int>& sequence,
                        const std::vector<int>& outputs) {
    std::vector<int> place(trace.made.size(), -1);
    for (const int i : sequence) place[static_cast<std::size_t>(i)] = n_steps_++;
    for (const int i : sequence) {
        const Trace::Made& m = trace.made[static_cast<std::size_t>(i)];
        if (m.op == ScalarOp::constant) constants_.push_back(m.constant);
        Step& step = steps_.emplace_back();
        if (has_inputs(m.op)) step = {ref(m.a, place), ref(m.b, place), ref(m.c, place)};
        if (m.op != ScalarOp::inner) continue;
        const auto end_of_pairs = [&] { return Ref{2, static_cast<std::uint32_t>(pairs_.size())}; };
        step.a = end_of_pairs();
        trace.each_input(i, [&](int from) { pairs_.push_back(ref(from, place)); });
        step.b = end_of_pairs();
    }
    for (const int i : outputs) outputs_.push_back(ref(i, place));
    for (const int i : trace.matrix) matrix_.push_back(ref(i, place));
}

}  // namespace plumb
