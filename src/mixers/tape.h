// Var: a double that remembers what it was made of, so that the text of a rule, run with Var
// instead of double, leaves behind what its transpose needs (reverse-mode differentiation): one
// pass over the tape for all inputs, whatever their number. Written for scalars; channels never
// pass here.
#pragma once

#include "core/check.h"

#include <cmath>
#include <vector>

namespace plumb {

struct Var {
    double v = 0;
    int node = -1;  // on the tape; -1: a constant

    Var() = default;
    Var(double value) : v(value) {}  // a rule's constants become Vars by themselves
    Var(double value, int at) : v(value), node(at) {}
};

// Vars that are made write on the calling thread's tape, which is blank when a Tape is made; one at
// a time. Its memory is kept from one to the next.
class Tape {
public:
    Tape() {
        require(!memory().in_use, "one tape at a time");
        memory().in_use = true;
        memory().nodes.clear();
        memory().edges.clear();
        memory().gradient.clear();
    }
    ~Tape() { memory().in_use = false; }
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    Var input(double value) { return {value, add({-1, -1, 0, 0})}; }

    // y of a and b: dy/da, dy/db.
    static Var made(double value, const Var& a, double da, const Var& b = {}, double db = 0) {
        if (a.node < 0 && b.node < 0) return {value};
        return {value, add({a.node, b.node, da, db})};
    }
    // Sum of a_i b_i of n Vars each: one node with an edge to every input, in place of 2n nodes.
    static Var inner(int n, const Var* a, const Var* b) {
        std::vector<Edge>& edges = memory().edges;
        const std::size_t first = edges.size();
        double sum = 0;
        for (int i = 0; i < n; ++i) {
            sum += a[i].v * b[i].v;
            if (a[i].node >= 0) edges.push_back({a[i].node, b[i].v});
            if (b[i].node >= 0) edges.push_back({b[i].node, a[i].v});
        }
        if (edges.size() == first) return {sum};
        return {sum, add({kMany - static_cast<int>(first), static_cast<int>(edges.size()), 0, 0})};
    }

    // Before pull(): dLoss/dx += d.
    void seed(const Var& x, double d) {
        memory().gradient.resize(memory().nodes.size());
        if (x.node >= 0) memory().gradient[static_cast<std::size_t>(x.node)] += d;
    }
    // Takes what was seeded back to the inputs.
    void pull() {
        std::vector<double>& gradient = memory().gradient;
        gradient.resize(memory().nodes.size());
        for (std::size_t i = gradient.size(); i-- > 0;) {
            const Node& n = memory().nodes[i];
            if (n.a <= kMany) {
                for (int e = kMany - n.a; e < n.b; ++e) {
                    const Edge& edge = memory().edges[static_cast<std::size_t>(e)];
                    gradient[static_cast<std::size_t>(edge.from)] += edge.d * gradient[i];
                }
                continue;
            }
            if (n.a >= 0) gradient[static_cast<std::size_t>(n.a)] += n.da * gradient[i];
            if (n.b >= 0) gradient[static_cast<std::size_t>(n.b)] += n.db * gradient[i];
        }
    }
    double gradient(const Var& x) const {
        return memory().gradient[static_cast<std::size_t>(x.node)];
    }

private:
    struct Node {
        int a, b;  // what it was made of; -1: nothing. a <= kMany: of edges kMany - a .. b-1
        double da, db;
    };
    static constexpr int kMany = -2;
    struct Edge {
        int from;
        double d;
    };
    struct Memory {
        std::vector<Node> nodes;
        std::vector<Edge> edges;
        std::vector<double> gradient;
        bool in_use = false;
    };
    static Memory& memory() {
        static thread_local Memory memory;
        return memory;
    }
    static int add(const Node& node) {
        memory().nodes.push_back(node);
        return static_cast<int>(memory().nodes.size()) - 1;
    }
};

inline Var operator+(const Var& a, const Var& b) { return Tape::made(a.v + b.v, a, 1, b, 1); }
inline Var operator-(const Var& a, const Var& b) { return Tape::made(a.v - b.v, a, 1, b, -1); }
inline Var operator-(const Var& a) { return Tape::made(-a.v, a, -1); }
inline Var operator*(const Var& a, const Var& b) { return Tape::made(a.v * b.v, a, b.v, b, a.v); }
inline Var operator/(const Var& a, const Var& b) {
    return Tape::made(a.v / b.v, a, 1 / b.v, b, -a.v / (b.v * b.v));
}
inline Var& operator+=(Var& a, const Var& b) { return a = a + b; }
inline Var& operator*=(Var& a, const Var& b) { return a = a * b; }
inline Var& operator/=(Var& a, const Var& b) { return a = a / b; }

inline Var exp(const Var& a) {
    const double e = std::exp(a.v);
    return Tape::made(e, a, e);
}
inline Var sqrt(const Var& a) {
    const double s = std::sqrt(a.v);
    return Tape::made(s, a, 0.5 / s);
}
inline Var tanh(const Var& a) {
    const double t = std::tanh(a.v);
    return Tape::made(t, a, 1 - t * t);
}

// Sum of a_i b_i.
template <class N>
N inner(int n, const N* a, const N* b) {
    N sum(0);
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}
inline Var inner(int n, const Var* a, const Var* b) { return Tape::inner(n, a, b); }
inline double inner(int n, const double* a, const double* b) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

inline double value(double x) { return x; }
inline double value(const Var& x) { return x.v; }

}  // namespace plumb
