#include "ops/activation.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <Eigen/Core>

namespace plumb {
namespace {

template <class Real>
using Row = Eigen::Map<Eigen::Array<Real, 1, Eigen::Dynamic>>;
template <class Real>
using ConstRow = Eigen::Map<const Eigen::Array<Real, 1, Eigen::Dynamic>>;

// gelu(x) = x/2 (1 + tanh(k (x + c x^3))), Hendrycks & Gimpel 2016
constexpr double kGeluK = 0.7978845608028654, kGeluC = 0.044715;

template <class Real, class X>
auto gelu_tanh(const X& x) {
    return (Real(kGeluK) * (x + Real(kGeluC) * x.cube())).tanh();
}

}  // namespace

template <class Real>
void activation(const Context& ctx, Activation kind, View<const Real> up, View<Real> a) {
    const Index f = a.extent(1);
    require(up.extent(1) == (kind == Activation::swiglu ? 2 * f : f), "activation: width of up");
    dispatch(ctx, "activation", [&](Cpu) {
        for_tokens(ctx, a.extent(0), [&](Index n) {
            const ConstRow<Real> x(up.row(n), f);
            Row<Real> out(a.row(n), f);
            if (kind == Activation::swiglu)
                out = x / (Real(1) + (-x).exp()) * ConstRow<Real>(up.row(n) + f, f);
            else
                out = Real(0.5) * x * (Real(1) + gelu_tanh<Real>(x));
        });
    });
}

template <class Real>
void activation_backward(const Context& ctx, Activation kind, View<const Real> up,
                         View<const Real> da, View<Real> dup, View<Real> a) {
    const Index f = a.extent(1);
    require(da.shape == a.shape && dup.shape == up.shape, "activation_backward: shapes differ");
    dispatch(ctx, "activation_backward", [&](Cpu) {
        for_tokens(ctx, a.extent(0), [&](Index n) {
            const ConstRow<Real> x(up.row(n), f), d(da.row(n), f);
            Row<Real> dx(dup.row(n), f), out(a.row(n), f);
            if (kind == Activation::swiglu) {
                const ConstRow<Real> value(up.row(n) + f, f);
                Row<Real> dvalue(dup.row(n) + f, f);
                dx = Real(1) / (Real(1) + (-x).exp());  // sigmoid
                dvalue = d * x * dx;
                out = x * dx * value;
                dx = d * value * dx * (Real(1) + x * (Real(1) - dx));
            } else {
                dx = gelu_tanh<Real>(x);
                out = Real(0.5) * x * (Real(1) + dx);
                dx = d * Real(0.5) *
                     (Real(1) + dx +
                      x * (Real(1) - dx.square()) * Real(kGeluK) *
                          (Real(1) + Real(3 * kGeluC) * x.square()));
            }
        });
    });
}

#define PLUMB_INSTANTIATE(Real)                                                         \
    template void activation(const Context&, Activation, View<const Real>, View<Real>); \
    template void activation_backward(const Context&, Activation, View<const Real>,     \
                                      View<const Real>, View<Real>, View<Real>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
