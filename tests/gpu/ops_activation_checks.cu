#include "gpu/ops_checks.h"
#include "ops/activation.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// Roundings of a number `size` that is `times` a sigmoid of z: e^-|z| is off by those of z, k of
// them, |z| times, and the rest of the formula has about ten more. An exponential below the
// smallest normal number is 0.
template <class T>
double roundings(double z, double k, double size, double times) {
    using Real = RealOf<T>;
    const double lost = sizeof(Real) == 4 ? 0x1p-126 : 0x1p-1022;
    return (Rounding<T>::unit + (k * std::abs(z) + 12) * Rounding<Real>::unit) * size +
           lost * (1 + std::abs(times));
}

// What up and da may do to a, and to each part of dup.
template <class T>
void allow(bool swiglu, const double* up, double da, long F, double* a, double* dup) {
    const double x = up[0], sigmoid = 1 / (1 + std::exp(-x));
    if (swiglu) {
        const double v = up[F], silu = std::abs(x) * sigmoid, d = std::abs(da);
        *a = roundings<T>(x, 2, silu * std::abs(v), x * v);
        dup[0] = roundings<T>(x, 2, d * std::abs(v) * (sigmoid + silu), d * v * (1 + std::abs(x)));
        dup[F] = roundings<T>(x, 2, d * silu, d * x);
        return;
    }
    const double z = Gelu::twice_k * x * (1 + Gelu::c * x * x), gate = 1 / (1 + std::exp(-z)),
                 slope = Gelu::twice_k * (1 + 3 * Gelu::c * x * x), d = std::abs(da);
    *a = roundings<T>(z, 6, std::abs(x) * gate, x);
    dup[0] =
        roundings<T>(z, 6, d * gate * (1 + std::abs(x) * slope), d * (1 + std::abs(x) * slope));
}

template <class Kind, class T>
Outputs run(const Numbers& up, const Numbers& da, long N, long F) {
    constexpr bool swiglu = Kind::parts == 2;
    const ActivationReference want = activation_reference(swiglu, N, F, up, da);
    Numbers allowed_a(da.size()), allowed_dup(up.size());
    for (long n = 0; n < N; ++n)
        for (long i = 0; i < F; ++i) {
            const auto at = static_cast<std::size_t>(n * F + i),
                       first = static_cast<std::size_t>(n * Kind::parts * F + i);
            allow<T>(swiglu, &up[first], da[at], F, &allowed_a[at], &allowed_dup[first]);
        }
    const Buffer<T> in(up), d(da), a(da.size()), dup(up.size()), again(da.size());
    gpu::activation<Kind, T>(stream(), N, F, in, a);
    gpu::activation_backward<Kind, T>(stream(), N, F, in, d, dup, again);
    Outputs out;
    out.add("a", a.get(), want.a, allowed_a);
    out.add("a again", again.get(), want.a, allowed_a);
    out.add("dup", dup.get(), want.dup, allowed_dup);
    return out;
}

template <class Kind, class T>
void check_kind(Report& report, const std::string& name) {
    for (const auto& [N, F] : kOpShapes) {
        const auto n = static_cast<std::size_t>(N * F);
        const Numbers up = drawn<T>("up", n * Kind::parts, 3), da = drawn<T>("da", n);
        check_op(report, op_name<T>(name, N, F), [&] { return run<Kind, T>(up, da, N, F); });
    }
    Numbers up(std::size_t{2} * 8 * Kind::parts, 1.0);  // 2 rows: far from 0, and not numbers
    const double far[] = {-100, 100, -20, 0, -0.0, -87, 30, NAN};
    std::copy(std::begin(far), std::end(far), up.begin());
    up[up.size() - 1] = NAN;
    const Numbers da(16, 0.5);
    check_op(report, op_name<T>(name + " far out, NaN", 2, 8),
             [&] { return run<Kind, T>(up, da, 2, 8); });
}

}  // namespace

void check_activation(Report& report) {
    for_types([&](auto t) {
        check_kind<Swiglu, decltype(t)>(report, "swiglu");
        check_kind<Gelu, decltype(t)>(report, "gelu");
    });
}

}  // namespace plumb::test
