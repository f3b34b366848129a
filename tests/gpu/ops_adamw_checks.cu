#include "gpu/ops_checks.h"
#include "ops/adamw.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

const AdamwSettings kSettings{3e-3, 0.9, 0.99, 1e-8, 0.1, 3};

// Ranges that start and end inside runs, one of no numbers, one not trained.
std::vector<AdamwRangeReference> ranges_of(long n) {
    return {{n / 7, true, true, 1},     {n / 7, true, true, 7},          {n / 3, false, true, 0.5},
            {n / 3 + 3, true, true, 2}, {n / 3 + n / 4, true, false, 1}, {n - 2, false, true, 1}};
}

// So many roundings of what w, m, v are made of; what g is off by, m and v are.
template <class Real>
void allow(const AdamwReference& want, const Numbers& w, const Numbers& m, const Numbers& grad,
           double scale, Numbers& dw, Numbers& dm, Numbers& dv) {
    const double u = Rounding<Real>::unit, b1 = kSettings.beta1, b2 = kSettings.beta2,
                 correction = 1 / std::sqrt(1 - std::pow(b2, 3)),
                 rate = 2 * kSettings.lr / (1 - std::pow(b1, 3));  // of the fastest range
    for (std::size_t i = 0; i < w.size(); ++i) {
        const double g = grad[i] * scale, moved = b1 * std::abs(m[i]) + (1 - b1) * std::abs(g);
        dm[i] = 4 * u * moved;
        dv[i] = 6 * u * want.v[i];
        dw[i] = u * (2 * std::abs(w[i]) +
                     14 * rate * moved / (std::sqrt(want.v[i]) * correction + kSettings.eps));
    }
}

template <class Real>
void check_size(Report& report, long n, double scale, bool with_ranges) {
    const auto size = static_cast<std::size_t>(n);
    const Numbers w = drawn<Real>("w", size), grad = drawn<Real>("grad", size, 2),
                  m = drawn<Real>("m", size, 0.1);
    Numbers v = drawn<Real>("v", size, 0.1);
    for (double& x : v) x = std::abs(x);
    const auto ranges = with_ranges ? ranges_of(n) : std::vector<AdamwRangeReference>{};
    const AdamwReference want = adamw_reference<Real>(kSettings, scale, ranges, w, grad, m, v);
    Numbers dw(size), dm(size), dv(size), rounded(size);
    allow<Real>(want, w, m, grad, scale, dw, dm, dv);
    const std::string name =
        "adamw, scale " + std::to_string(scale).substr(0, 4) + (with_ranges ? ", ranges" : "");
    check_op(report, op_name<Real>(name, 1, n), [&] {
        const Buffer<Real> pw(w), pg(grad), pm(m), pv(v);
        const Buffer<Bf16> copy(drawn<Bf16>("copy", size));
        const Buffer<double> s(Numbers{scale});
        Buffer<AdamwRange> on_device(ranges.size());
        std::vector<AdamwRange> host;
        for (const auto& r : ranges) host.push_back({r.end, r.lr_scale, r.decay, r.trained});
        on_device.put_raw(host);
        const auto& x = kSettings;
        gpu::adamw<Real>(stream(), n,
                         adamw_factors<Real>(x.lr, x.beta1, x.beta2, x.eps, x.weight_decay, x.step),
                         s, static_cast<int>(ranges.size()), on_device,
                         {pw, pg, pm, pv, sizeof(Real) == 4 ? copy.at() : nullptr});
        Outputs o;
        o.add("w", pw.get(), want.w, dw);
        o.add("m", pm.get(), want.m, dm);
        o.add("v", pv.get(), want.v, dv);
        if (scale == 0) o.add_exact("w as it was", pw.get(), w);
        if (sizeof(Real) == 8) return o;
        Numbers copied = drawn<Bf16>("copy", size);  // where a run has a number that is trained
        const Numbers now = pw.get(), got = copy.get();
        for (std::size_t i = 0; i < size; ++i)
            if (now[i] != w[i] || got[i] != copied[i])
                copied[i] = static_cast<double>(float{Bf16(static_cast<float>(now[i]))});
        o.add_exact("the copy in bf16", got, copied);
        return o;
    });
}

}  // namespace

void check_adamw(Report& report) {
    for_types([&](auto t) {
        using Real = decltype(t);
        if constexpr (sizeof(Real) > 2) {
            for (const long n : {1L, 7L, 8L, 65L, 264L, 1032L, 5003L}) {
                check_size<Real>(report, n, 0.7, false);
                if (n > 8) check_size<Real>(report, n, 1, true);
            }
            check_size<Real>(report, 264, 0, true);
        }
    });
}

}  // namespace plumb::test
