#include "gpu/ops_checks.h"
#include "ops/muon.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <class Real>
void check_muon_shape(Report& report, long R, long C, double s) {
    const auto n = static_cast<std::size_t>(R * C), side = static_cast<std::size_t>(R * R);
    const Numbers grad = drawn<Real>("grad", n), momentum = drawn<Real>("momentum", n),
                  w = drawn<Real>("w", n), gram = drawn<Real>("gram", side);
    const double mu = 0.75, eps = 0.25, square = 7, a = 3.5, keep = 0.875, rate = 0.125;  // exact
    const MuonReference want =
        muon_reference<Real>(R, C, mu, s, grad, momentum, square, eps, a, gram, keep, rate, w);
    Numbers of_b(n), of_x(n), of_w(n), copied(n);  // five roundings of what each is made of
    const double u = 5 * Rounding<Real>::unit;
    for (std::size_t i = 0; i < n; ++i) {
        of_b[i] = u * (mu * std::abs(momentum[i]) + std::abs(s * grad[i]));
        of_x[i] = (u * std::abs(s * grad[i]) + 2 * of_b[i]) / std::sqrt(square);
        of_w[i] = u * (std::abs(w[i]) + std::abs(grad[i]));
    }
    check_op(report, op_name<Real>("muon, scale " + std::to_string(s).substr(0, 4), R, C), [&] {
        const Buffer<Real> g(grad), b(momentum), x(grad), value(w), diagonal(gram);
        const Buffer<double> scale(Numbers{s}), of(Numbers{square});
        const Buffer<Bf16> copy(n);
        gpu::muon_look_ahead<Real>(stream(), R * C, Real(mu), scale, g, b, x);
        gpu::muon_normalise<Real>(stream(), R * C, of, eps, x);
        gpu::muon_add_diagonal<Real>(stream(), R, Real(a), diagonal);
        gpu::muon_update<Real>(stream(), R * C, scale, Real(keep), Real(rate), g, value, copy);
        Outputs o;
        o.add("momentum", b.get(), want.momentum, of_b);
        o.add("x", x.get(), want.x, of_x);
        o.add_exact("gram", diagonal.get(), want.gram);
        o.add("w", value.get(), want.w, of_w);
        if (sizeof(Real) == 8 || s == 0) return o;
        const Numbers now = value.get();
        for (std::size_t i = 0; i < n; ++i)
            copied[i] = static_cast<double>(float{Bf16(static_cast<float>(now[i]))});
        o.add_exact("the copy in bf16", copy.get(), copied);
        return o;
    });
}

}  // namespace

void check_muon(Report& report) {
    for (const auto& [R, C] : kOpShapes) {
        check_muon_shape<double>(report, R, C, 0.7);
        check_muon_shape<float>(report, R, C, 0.7);
    }
    check_muon_shape<double>(report, 300, 8, 0);
    check_muon_shape<float>(report, 300, 8, 0);
}

}  // namespace plumb::test
