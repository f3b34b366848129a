// ScalarProgram: the scalars of a rule at one site as a list of operations, run on a tile of kTile
// tokens at a time in SIMD registers (lanes.h), or on numbers that are of no token, forward and
// backward.
//
// The rule's text is run once, on Traced in place of double, and leaves the operations behind. What
// needs constants alone is done at once; adding 0 and multiplying by 1 fall away; what was asked
// for before is not done again, so that a rule is written for its reader. A rule must not branch on
// what it computes, and max() passes no gradient on.
//
// Operations are put in an order in which many of a kind follow each other: a kind is asked for
// once a group, and those of a group do not wait for each other. Backward runs the operations again
// and then their transposes, from the last to the first. hyper: 124 operations, some 0.3 us a tile
// forward and 0.9 us backward.
#pragma once

#include "mixers/lanes.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace plumb {

enum class ScalarOp : std::uint8_t {
    input,
    constant,
    add,               // a + b
    subtract,          // a - b
    multiply,          // a b
    add_product,       // c + a b
    subtract_product,  // c - a b
    inner,             // a_1 b_1 + a_2 b_2 + ..
    max,
    inverse,
    exp,
    sqrt,
    tanh,
    sigmoid,
    sinkhorn,  // of a matrix, whose entries follow: its transpose is written by hand
    entry
};

// A number of the rule that the calling thread traces.
struct Traced {
    int at = -1;   // which operation's; -1: a constant ...
    double v = 0;  // ... of this value

    Traced() = default;
    Traced(double constant) : v(constant) {}
    static Traced of(ScalarOp op, const Traced& a, const Traced& b);
    static Traced of(ScalarOp op, const Traced& a) { return of(op, a, Traced()); }

    friend Traced operator+(const Traced& a, const Traced& b) { return of(ScalarOp::add, a, b); }
    friend Traced operator-(const Traced& a, const Traced& b) {
        return of(ScalarOp::subtract, a, b);
    }
    friend Traced operator-(const Traced& a) { return of(ScalarOp::subtract, 0.0, a); }
    friend Traced operator*(const Traced& a, const Traced& b) {
        return of(ScalarOp::multiply, a, b);
    }
    friend Traced operator/(const Traced& a, const Traced& b) {
        return a * of(ScalarOp::inverse, b);
    }
    Traced& operator+=(const Traced& b) { return *this = *this + b; }
    Traced& operator*=(const Traced& b) { return *this = *this * b; }
    Traced& operator/=(const Traced& b) { return *this = *this / b; }

    friend Traced max(const Traced& a, const Traced& b) { return of(ScalarOp::max, a, b); }
    friend Traced exp(const Traced& a) { return of(ScalarOp::exp, a); }
    friend Traced sqrt(const Traced& a) { return of(ScalarOp::sqrt, a); }
    friend Traced tanh(const Traced& a) { return of(ScalarOp::tanh, a); }
    friend Traced sigmoid(const Traced& a) { return of(ScalarOp::sigmoid, a); }
    friend Traced value(const Traced& a) { return a; }
    bool is(double constant) const { return at < 0 && v == constant; }
};
// Sum of a_i b_i, as one operation.
Traced inner(int n, const Traced* a, const Traced* b);

// sinkhorn.h, as one operation; once a program.
void sinkhorn(int k, int iters, Traced* x);

class ScalarProgram {
public:
    ScalarProgram() = default;
    // text(u, p) gives the outputs.
    using Text = std::function<std::vector<Traced>(const Traced* u, const Traced* p)>;
    ScalarProgram(int n_u, int n_p, const Text& text);

    // u (n_u), p (n_p) -> out (n_outputs). Overwrites. N: Lanes of float or double, or double.
    template <class N>
    void forward(const N* u, const N* p, N* out) const;
    // dLoss/dout -> du, dp at the same u and p. Adds.
    template <class N>
    void backward(const N* u, const N* p, const N* dout, N* du, N* dp) const;

    int n_steps() const { return n_steps_; }  // inputs aside
    int n_outputs() const { return static_cast<int>(outputs_.size()); }
    int n_saved() const;  // of a token, between backward's two halves

    // A number: one of u, of p or of the steps.
    struct Ref {
        std::uint32_t of : 2, at : 30;
    };
    struct Step {
        Ref a, b, c;  // inner: where its pairs begin and end
    };
    struct Group {  // steps of one kind
        ScalarOp op;
        int begin, end;
    };
    // The program for a device that runs it by itself (scalar_program.cuh): in its memory.
    struct Tables {
        const Group* groups;
        const Step* steps;
        const Ref *pairs, *outputs, *matrix;
        const double* constants;
        int n_groups, n_steps, n_outputs, n_constants, n_entries;
        int size, rounds;  // of sinkhorn
    };
    // put(vector) gives where a copy of it is.
    template <class F>
    Tables tables(F&& put) const {
        const auto count = [](const auto& x) { return static_cast<int>(x.size()); };
        return {put(groups_),    put(steps_),    put(pairs_), put(outputs_), put(matrix_),
                put(constants_), count(groups_), n_steps_,    n_outputs(),   count(constants_),
                count(matrix_),  size_,          rounds_};
    }

private:
    struct Trace;
    friend struct Traced;
    friend Traced inner(int, const Traced*, const Traced*);
    friend void sinkhorn(int, int, Traced*);

    Ref ref(int number, const std::vector<int>& place) const;
    std::vector<int> order(const Trace& trace, const std::vector<int>& outputs);
    void put(const Trace& trace, const std::vector<int>& sequence, const std::vector<int>& outputs);
    template <class F>  // f(a, b) of an inner's pairs
    void for_pairs(const Step& inner, F&& f) const {
        for (auto i = inner.a.at; i < inner.b.at; i += 2) f(pairs_[i], pairs_[i + 1]);
    }
    template <class N>
    void run(const N* const (&in)[3], N* x, N* saved) const;
    template <class N>
    void pull(const N* const (&in)[3], const N* saved, N* const (&g)[3]) const;

    int n_u_ = 0, n_p_ = 0, n_steps_ = 0;
    std::vector<Step> steps_;
    std::vector<Group> groups_;
    std::vector<double> constants_;  // of the first steps
    std::vector<Ref> pairs_, outputs_;
    std::vector<Ref> matrix_;  // what sinkhorn is of, if the rule has it
    int size_ = 0, rounds_ = 0;
};

}  // namespace plumb
