#include "gpu/kernel_checks.h"
#include "gpu/ops_checks.h"
#include "ops/pre_norm.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// What a kernel over rows does with them: forward, and backward from what that left.
template <class T, int V, bool whole>
__global__ void __launch_bounds__(256)
    norm_both(long N, int C, int W, const RealOf<T>* h, NormArgs<T> norm, RealOf<T>* out,
              RealOf<T>* along) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    gpu::Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    for (long base = g.base; base < N; base += g.stride) {
        const long n = base + g.offset;
        const bool live = n < N;
        Row<Real, V> row, d, dgain;
        clear(dgain);
        load(h + n * C, at, live, row);
        norm_put(norm, g, at, n, live, row);
        __syncthreads();  // rstd was one thread's
        const Real a = norm_gradient<true>(norm, g, at, n, live, d, dgain);
        store(d, at, live, out + n * C);
        if (live && g.leads()) along[n] = a;
    }
}

struct NormCase {
    bool raw, wants_x;
};

template <class T>
void check_rows(Report& report, const RowShape& s, const NormCase& c) {
    using Real = RealOf<T>;
    const auto N = static_cast<std::size_t>(s.N), all = N * static_cast<std::size_t>(s.C);
    const double eps = 1e-3, u = Rounding<Real>::unit, own = Rounding<T>::unit;
    const Numbers h = drawn<T>("h", all), dx = drawn<T>("dx", all),
                  gain = drawn<Real>("gain", static_cast<std::size_t>(s.C));
    const int W = warps_for(s.C, s.V);
    const std::string name = std::string("norm") + (c.raw ? ", raw" : "") +
                             (c.wants_x ? "" : ", no x") + " V=" + std::to_string(s.V);
    check_op(report, op_name<T>(name, s.N, s.C), [&] {
        const Buffer<Real> row(h), g(gain), rstd(N), out(all), along(N);
        const Buffer<T> xhat(all), x(all), d(dx);
        const NormArgs<T> norm{
            xhat, c.raw ? nullptr : rstd.at(), g, c.wants_x ? x.at() : nullptr, d, Real(eps)};
        with_runs(s, [&](auto V, auto whole) {
            launch(stream(), "norm_both", norm_both<T, V(), whole()>, whole_grid(s.N, W), s.N, s.C,
                   W, row, norm, out, along);
        });
        const NormReference want =
            norm_reference(c.raw, s.C, eps, h, gain, xhat.get(), rstd.get(), dx);
        Numbers allowed(N, 0.0);  // of a sum that cancels
        for (std::size_t i = 0; i < all; ++i) {
            const std::size_t n = i / static_cast<std::size_t>(s.C),
                              j = i % static_cast<std::size_t>(s.C);
            const double r = c.raw ? 1 : want.rstd[n];
            allowed[n] += std::abs(dx[i] * want.xhat[i]) * (s.C / 8.0 + 16) * (u + own) *
                          (c.raw ? 1 : eps * r * r * std::abs(gain[j]));
        }
        Outputs o;
        o.add_whole("xhat", xhat.get(), want.xhat, TypeName<T>::bound);
        o.add_whole("D", out.get(), want.d, TypeName<Real>::bound);
        o.add("<h, D>", along.get(), want.along, allowed);
        const Numbers nothing(all, NAN);
        if (!c.raw) o.add_whole("rstd", rstd.get(), want.rstd, TypeName<Real>::bound);
        if (c.wants_x && !c.raw)
            o.add_whole("x", x.get(), want.x, TypeName<T>::bound);
        else
            o.add_exact("no x", x.get(), nothing);
        return o;
    });
}

// A square without end: xhat is 0, and the token is found.
template <class T>
void check_overflow(Report& report) {
    using Real = RealOf<T>;
    const long N = 5, C = 64;
    Numbers h = drawn<T>("h", N * C);
    h[3 * C + 1] = sizeof(Real) == 4 ? 1e30 : 1e200;
    check_op(report, op_name<T>("norm, overflow", N, C), [&] {
        const Buffer<Real> row(h), g(Numbers(C, 1.0)), rstd(N), out(N * C), along(N);
        const Buffer<T> xhat(N * C), x(N * C), d(Numbers(N * C, 1.0));
        launch(stream(), "norm_both", norm_both<T, 1, true>, whole_grid(N, 1), N, C, 1, row,
               NormArgs<T>{xhat, rstd, g, x, d, Real(1e-5)}, out, along);
        const Buffer<double> first(Numbers{0});
        gpu::note_overflow<Real>(stream(), 3, rstd, 6, first);
        Outputs o;
        o.add_exact("before it", first.get(), {0});
        gpu::note_overflow<Real>(stream(), N, rstd, 7, first);
        gpu::note_overflow<Real>(stream(), N, rstd, 8, first);
        o.add_exact("its site", first.get(), {7});
        o.add_exact("rstd", rstd.get(3, 1), {0});
        o.add_exact("xhat", xhat.get(3 * C, C), Numbers(C, 0.0));
        return o;
    });
}

template <class T>
void check_apart(Report& report, long N, long C, bool raw) {
    using Real = RealOf<T>;
    const auto rows = static_cast<std::size_t>(N), all = rows * static_cast<std::size_t>(C);
    const Numbers xhat = drawn<T>("xhat", all), dx = drawn<T>("dx", all),
                  gain = drawn<Real>("gain", static_cast<std::size_t>(C));
    Numbers rstd = drawn<Real>("rstd", rows), x(all), h(all), of_x(all), of_h(all);
    for (double& r : rstd) r = std::abs(r) + 0.125;
    for (double& r : rstd) r = static_cast<double>(static_cast<Real>(r));
    for (std::size_t i = 0; i < all; ++i) {
        x[i] = xhat[i] * gain[i % static_cast<std::size_t>(C)];
        h[i] = raw ? xhat[i] : xhat[i] / rstd[i / static_cast<std::size_t>(C)];
        of_x[i] = std::abs(x[i]) * (Rounding<T>::unit + 2 * Rounding<Real>::unit);
        of_h[i] = std::abs(h[i]) * 3 * Rounding<Real>::unit;
    }
    const NormReference want = norm_reference(raw, C, 1e-5, xhat, gain, xhat, rstd, dx);
    check_op(report, op_name<T>(raw ? "norm apart, raw" : "norm apart", N, C), [&] {
        const Buffer<T> in(xhat), d(dx), out(all);
        const Buffer<Real> g(gain), r(rstd), values(all), gradients(all);
        Real* of = raw ? nullptr : r.at();
        gpu::apply_gain<T>(stream(), N, C, in, g, out);
        gpu::norm_values<T>(stream(), N, C, in, of, values);
        gpu::norm_gradients<T>(stream(), N, static_cast<int>(C),
                               {in, of, g, nullptr, d, Real(1e-5)}, gradients);
        Outputs o;
        o.add("x", out.get(), x, of_x);
        o.add("h", values.get(), h, of_h);
        o.add_whole("D", gradients.get(), want.d, TypeName<Real>::bound);
        return o;
    });
}

}  // namespace

void check_norm(Report& report) {
    for_types([&](auto t) {
        using T = decltype(t);
        for (const RowShape& s : kShapes)
            for (const NormCase& c : {NormCase{false, true}, {false, false}, {true, true}})
                check_rows<T>(report, s, c);
        check_overflow<T>(report);
        for (const bool raw : {false, true}) {
            for (const auto& [N, C] : kOpShapes) check_apart<T>(report, N, C, raw);
            check_apart<T>(report, 2, 2056, raw);  // more than eight warps hold, of a run a thread
            check_apart<T>(report, 2, 2051, raw);
        }
    });
}

}  // namespace plumb::test
