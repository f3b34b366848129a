#include "ops/activation.h"

#include "core/parallel.h"
#include "ops/exp.h"

#include <array>

namespace plumb {
namespace {

// ---- formulas: of a Vec V of each number that goes in, what comes out -------------------------

template <class V>
V sigmoid(V x) {
    return 1 / (1 + fast_exp(-x));
}

// gelu(x) = x/2 (1 + tanh(k (x + c x^3))) = x sigmoid(2 k (x + c x^3)), Hendrycks & Gimpel 2016
constexpr double kGelu2K = 2 * 0.7978845608028654, kGeluC = 0.044715;

template <class Real>
Vec<Real> gelu_gate(Vec<Real> x) {
    return sigmoid(Real(kGelu2K) * x * (1 + Real(kGeluC) * x * x));
}

template <class Real>
struct Swiglu {
    using V = Vec<Real>;
    // gate, value -> a
    std::array<V, 1> operator()(const std::array<V, 2>& in) const {
        const auto& [x, v] = in;
        return {x * sigmoid(x) * v};
    }
};

template <class Real>
struct SwigluBackward {
    using V = Vec<Real>;
    // gate, value, da -> a, dgate, dvalue
    std::array<V, 3> operator()(const std::array<V, 3>& in) const {
        const auto& [x, v, d] = in;
        const V s = sigmoid(x), silu = x * s;
        return {silu * v, d * v * (s + silu * (1 - s)), d * silu};
    }
};

template <class Real>
struct Gelu {
    using V = Vec<Real>;
    // up -> a
    std::array<V, 1> operator()(const std::array<V, 1>& in) const {
        return {in[0] * gelu_gate<Real>(in[0])};
    }
};

template <class Real>
struct GeluBackward {
    using V = Vec<Real>;
    // up, da -> a, dup
    std::array<V, 2> operator()(const std::array<V, 2>& in) const {
        const auto& [x, d] = in;
        const V s = gelu_gate<Real>(x), value = x * s;
        const V slope = Real(kGelu2K) * (1 + Real(3 * kGeluC) * x * x);
        return {value, d * (s + value * (1 - s) * slope)};
    }
};

// ---- a formula over rows ----------------------------------------------------------------------

// A token's row and how far from it the next token's is, 0 for the last.
template <class T>
struct Row {
    T* at;
    Index next;
};

template <class T, class F, std::size_t n_in, std::size_t n_out>
inline void map_row(const std::array<Row<const T>, n_in>& in, const std::array<Row<T>, n_out>& out,
                    Index f, const F& formula) {
    using Real = RealOf<T>;
    constexpr Index kTwo = 2 * kVec<Real>, kLine = kLineBytes / static_cast<Index>(sizeof(T));
    constexpr Index kStep = std::max(kTwo, kLine);
    Index i = 0;
    for (; i + kStep <= f; i += kStep) {
        // exp keeps the processor too busy to look as far ahead as memory is away.
        for (Index j = i; j < i + kStep; j += kLine) {
            for (const auto& row : in) __builtin_prefetch(row.at + row.next + j, 0);
            for (const auto& row : out) __builtin_prefetch(row.at + row.next + j, 1);
        }
#pragma GCC unroll 2
        for (Index j = i; j < i + kStep; j += kTwo) {
            std::array<Vec<Real>, n_in> a, b;
            for (std::size_t k = 0; k < n_in; ++k) load_two<Real>(in[k].at + j, a[k], b[k]);
            const auto x = formula(a), y = formula(b);
            for (std::size_t k = 0; k < n_out; ++k) store_two<Real>(x[k], y[k], out[k].at + j);
        }
    }
    for_vecs<Real, false>(f - i, [&](Index j, auto size) {
        std::array<Vec<Real>, n_in> a;
        for (std::size_t k = 0; k < n_in; ++k) a[k] = load<Real>(in[k].at + i + j, size);
        const auto x = formula(a);
        for (std::size_t k = 0; k < n_out; ++k) store<Real>(x[k], out[k].at + i + j, size);
    });
}

// For rows of f, from those of the first token on.
template <class T, class F, std::size_t n_in, std::size_t n_out>
void map_rows(const Context& ctx, Index tokens, Index f, const std::array<Row<const T>, n_in>& in,
              const std::array<Row<T>, n_out>& out, const F& formula) {
    for_tokens(ctx, tokens, [&](Index n) {
        const auto of_token = [&](auto rows) {
            for (auto& row : rows) row = {row.at + n * row.next, n + 1 < tokens ? row.next : 0};
            return rows;
        };
        map_row<T>(of_token(in), of_token(out), f, formula);
    });
}

}  // namespace

template <class T>
void activation(Cpu, const Context& ctx, Activation kind, View<const T> up, View<T> a) {
    using Real = RealOf<T>;
    const Index tokens = a.extent(0), f = a.extent(1);
    const std::array<Row<T>, 1> out{{{a.data, f}}};
    if (kind == Activation::swiglu)
        map_rows<T>(ctx, tokens, f,
                    std::array<Row<const T>, 2>{{{up.data, 2 * f}, {up.data + f, 2 * f}}}, out,
                    Swiglu<Real>{});
    else
        map_rows<T>(ctx, tokens, f, std::array<Row<const T>, 1>{{{up.data, f}}}, out, Gelu<Real>{});
}

template <class T>
void activation_backward(Cpu, const Context& ctx, Activation kind, View<const T> up,
                         View<const T> da, View<T> dup, View<T> a) {
    using Real = RealOf<T>;
    const Index tokens = a.extent(0), f = a.extent(1);
    if (kind == Activation::swiglu)
        map_rows<T>(
            ctx, tokens, f,
            std::array<Row<const T>, 3>{{{up.data, 2 * f}, {up.data + f, 2 * f}, {da.data, f}}},
            std::array<Row<T>, 3>{{{a.data, f}, {dup.data, 2 * f}, {dup.data + f, 2 * f}}},
            SwigluBackward<Real>{});
    else
        map_rows<T>(ctx, tokens, f, std::array<Row<const T>, 2>{{{up.data, f}, {da.data, f}}},
                    std::array<Row<T>, 2>{{{a.data, f}, {dup.data, f}}}, GeluBackward<Real>{});
}

#define PLUMB_INSTANTIATE(T)                                                           \
    template void activation(Cpu, const Context&, Activation, View<const T>, View<T>); \
    template void activation_backward(Cpu, const Context&, Activation, View<const T>,  \
                                      View<const T>, View<T>, View<T>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
