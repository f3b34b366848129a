#include "ops/muon.h"

#include "ops/matmul.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

constexpr int kIterations = 5;
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315, kEps = 1e-7, kUpdateRms = 0.2;

// y = (a I + b A + c A A) x with A = x x^T, or from the right, whichever A is smaller; scratch
// (2, k, k).
template <class Real>
void iterate(const Context& ctx, View<const Real> x, View<Real> y, Real* scratch) {
    const Index rows = x.extent(0), columns = x.extent(1), k = std::min(rows, columns);
    const Shape square{{'R', k}, {'C', k}};
    Real *gram = scratch, *poly = scratch + k * k;
    const bool left = rows <= columns;
    gemm<Real>(ctx, left ? Op::none : Op::transpose, left ? Op::transpose : Op::none, k, k,
               left ? columns : rows, Real(1), x.data, columns, x.data, columns, Real(0), gram, k);
    copy<Real>(ctx, {gram, square, x.device}, {poly, square, x.device});
    gemm<Real>(ctx, Op::none, Op::none, k, k, k, Real(kC), gram, k, gram, k, Real(kB), poly, k);
    dispatch(ctx, "muon", [&](auto device) {
        muon_add_diagonal<Real>(device, ctx, Real(kA), {poly, square, x.device});
    });
    gemm<Real>(ctx, Op::none, Op::none, rows, columns, k, Real(1), left ? poly : x.data,
               left ? k : columns, left ? x.data : poly, left ? columns : k, Real(0), y.data,
               columns);
}

}  // namespace

Index muon_scratch(Index rows, Index columns) {
    const Index k = std::min(rows, columns);
    return 2 * rows * columns + 2 * k * k;
}

double muon_flops(Index rows, Index columns) {
    const auto k = static_cast<double>(std::min(rows, columns)),
               n = static_cast<double>(rows) * static_cast<double>(columns);
    return kIterations * (4 * n * k + 2 * k * k * k);
}

template <class Real>
View<Real> newton_schulz(const Context& ctx, View<Real> x, View<Real> scratch,
                         View<double> square) {
    const Index n = x.count(), k = std::min(x.extent(0), x.extent(1));
    require(scratch.count() >= n + 2 * k * k, "newton_schulz: too little scratch");
    total_dot<Real>(ctx, x, x, square);
    View<Real> from = x, to{scratch.data, x.shape, x.device};
    dispatch(ctx, "muon", [&](auto device) { muon_normalise<Real>(device, ctx, square, kEps, x); });
    for (int step = 0; step < kIterations; ++step) {
        iterate<Real>(ctx, from, to, scratch.data + n);
        std::swap(from, to);
    }
    static_assert(kIterations % 2 == 1, "the result is in scratch");
    return from;
}

template <class Real>
void muon(const Context& ctx, const MuonStep& s, View<Real> w, View<const Real> grad,
          View<Real> momentum, View<Real> scratch, View<double> square) {
    const Timed timed(ctx.profile, Part::optimizer);
    require(
        w.shape.rank() == 2 && grad.shape == w.shape && momentum.shape == w.shape && s.grad_scale,
        "muon: shapes differ");
    const Index rows = w.extent(0), columns = w.extent(1), n = w.count();
    require(scratch.count() >= muon_scratch(rows, columns), "muon: too little scratch");
    const View<Real> x{scratch.data, w.shape, w.device};
    dispatch(ctx, "muon", [&](auto device) {
        muon_look_ahead<Real>(device, ctx, static_cast<Real>(s.momentum), s.grad_scale, grad,
                              momentum, x);
    });
    const View<Real> u = newton_schulz<Real>(
        ctx, x, {scratch.data + n, {{'S', scratch.count() - n}}, w.device}, square);
    dispatch(ctx, "muon", [&](auto device) {
        const double size = std::sqrt(static_cast<double>(std::max(rows, columns)));
        muon_update<Real>(device, ctx, s.grad_scale, static_cast<Real>(1 - s.lr * s.weight_decay),
                          static_cast<Real>(s.lr * kUpdateRms * size), u, w);
    });
}

#define PLUMB_INSTANTIATE(Real)                                                                   \
    template View<Real> newton_schulz(const Context&, View<Real>, View<Real>, View<double>);      \
    template void muon(const Context&, const MuonStep&, View<Real>, View<const Real>, View<Real>, \
                       View<Real>, View<double>);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
