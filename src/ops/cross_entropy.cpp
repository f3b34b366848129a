#include "ops/cross_entropy.h"

#include "core/dispatch.h"
#include "core/parallel.h"

#include <Eigen/Core>

#include <cmath>

namespace plumb {
namespace {

template <class Real>
using Row = Eigen::Map<Eigen::Array<Real, 1, Eigen::Dynamic>>;
template <class Real>
using ConstRow = Eigen::Map<const Eigen::Array<Real, 1, Eigen::Dynamic>>;

Index n_scored(View<const std::int32_t> targets) {
    Index n = 0;
    for (Index i = 0; i < targets.count(); ++i) n += targets.data[i] >= 0;
    return n;
}

}  // namespace

template <class Real>
double cross_entropy(const Context& ctx, View<const Real> logits, View<const std::int32_t> targets,
                     View<Real> losses) {
    const Index v = logits.extent(1), n_tokens = logits.extent(0);
    require(targets.count() == n_tokens && losses.count() == n_tokens,
            "cross_entropy: shapes differ");
    dispatch(ctx, "cross_entropy", [&](Cpu) {
        for_tokens(ctx, n_tokens, [&](Index n) {
            losses.data[n] = 0;
            if (targets.data[n] < 0) return;
            const ConstRow<Real> z(logits.row(n), v);
            const Real max = z.maxCoeff();
            losses.data[n] = std::log((z - max).exp().sum()) + max - z[targets.data[n]];
        });
    });
    double total = 0;
    for (Index n = 0; n < n_tokens; ++n) total += static_cast<double>(losses.data[n]);
    const Index scored = n_scored(targets);
    return scored ? total / static_cast<double>(scored) : 0.0;
}

template <class Real>
void cross_entropy_backward(const Context& ctx, View<Real> logits, View<const std::int32_t> targets,
                            Real scale) {
    const Index v = logits.extent(1), scored = n_scored(targets);
    const Real weight = scored ? scale / static_cast<Real>(scored) : Real(0);
    dispatch(ctx, "cross_entropy_backward", [&](Cpu) {
        for_tokens(ctx, logits.extent(0), [&](Index n) {
            Row<Real> z(logits.row(n), v);
            if (targets.data[n] < 0) {
                z.setZero();
                return;
            }
            z = (z - z.maxCoeff()).exp();
            z *= weight / z.sum();
            z[targets.data[n]] -= weight;
        });
    });
}

#define PLUMB_INSTANTIATE(Real)                                                                \
    template double cross_entropy(const Context&, View<const Real>, View<const std::int32_t>,  \
                                  View<Real>);                                                 \
    template void cross_entropy_backward(const Context&, View<Real>, View<const std::int32_t>, \
                                         Real);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
