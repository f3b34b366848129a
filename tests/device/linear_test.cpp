// Linear and linear_decode on each device.
#include "ops/linear.h"

#include "catch.h"
#include "core/gpu.h"
#include "device/products.h"
#include "emulated/device.h"
#include "ops/reduce.h"
#include "support/environment.h"
#include "support/random.h"

#include <cstring>

namespace plumb::test {
namespace {

struct LinearSizes {
    Index n, out, in;
};

// A Linear on a device, and what it makes: from the same numbers on all of them.
template <class T>
struct Layer {
    using Real = RealOf<T>;

    Layer(Device device, const LinearSizes& s)
        : x({{'N', s.n}, {'I', s.in}}, "x"),
          dy({{'N', s.n}, {'O', s.out}}, "dy"),
          w({{'O', s.out}, {'I', s.in}}, "w"),
          params(device) {
        Plan plan(device);
        const Param<Real> p = params.declare({.name = "w", .shape = w.view().shape, .init = {}});
        Linear<T> linear(plan, "layer", p, s.n);
        params.allocate(1);
        const Frame frame(std::move(plan), params);
        bytes = frame.plan().total_bytes();
        const Context ctx = Context{device}.in(frame);
        put(ctx.value(p), w.values().data());
        put(ctx.grad(p), std::vector<Real>(w.values().size(), Real(1)).data());
        linear.prepare(ctx);

        const DeviceArray<T> on_x = on_device(device, x.values());
        const DeviceArray<T> on_dy = on_device(device, dy.values());
        const std::vector<T> nine(x.values().size(), T(9.0f)), nines(dy.values().size(), T(9.0f));
        const DeviceArray<T> on_y = on_device(device, nines), on_dx = on_device(device, nine);
        const DeviceArray<Real> on_sums(dy.size(), device);
        const Shape wide_in = x.view().shape, wide_out = dy.view().shape;
        linear.forward(ctx, on_x.view(0, wide_in), on_y.view(0, wide_out));
        if constexpr (!std::is_same_v<T, Real>)
            linear.forward(ctx, on_x.view(0, wide_in), on_sums.view(0, wide_out));
        linear.backward(ctx, on_dy.view(0, wide_out), on_x.view(0, wide_in),
                        on_dx.view(0, wide_in));
        y = on_y.fetch(), dx = on_dx.fetch(), sums = on_sums.fetch();
        dw = fetch<Real>(ctx.grad(p));
    }

    Array<T> x, dy;
    Array<Real> w;
    std::size_t bytes = 0;  // of the plan
    std::vector<T> y, dx;
    std::vector<Real> sums, dw;

private:
    ParamStore<Real> params;
};

// Worst error of got (rows, cols) = start + A B, a(i, p) and b(p, j) as they are multiplied.
template <class Real, class Out, class A, class B>
double worst_error(const std::vector<Out>& got, Index cols, double start, Index k, A&& a, B&& b) {
    double worst = 0;
    for (Index at = 0; at < std::ssize(got); ++at) {
        const Index i = at / cols, j = at % cols;
        long double sum = start, size = std::abs(start);
        for (Index p = 0; p < k; ++p) {
            const long double term = static_cast<long double>(a(i, p)) * b(p, j);
            sum += term, size += std::abs(term);
        }
        worst = worse(worst, product_error<Real>(got[static_cast<std::size_t>(at)], sum, size, k));
    }
    return worst;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

constexpr LinearSizes kLinearSizes[] = {{5, 3, 7}, {1, 1, 1}, {64, 40, 24}, {33, 65, 17}};

}  // namespace

TEMPLATE_TEST_CASE("Linear on each device against sums of its operands", "[device]", float, double,
                   Bf16) {
    using T = TestType;
    using Real = RealOf<T>;
    for (const Device device : {Device::cpu, Device::cuda})
        for (const LinearSizes& s : kLinearSizes) {
            INFO(device_name(device) << " n=" << s.n << " out=" << s.out << " in=" << s.in);
            Layer<T> l(device, s);
            const auto x = [&](Index i, Index j) { return Real(l.x.row(i)[j]); };
            const auto dy = [&](Index i, Index j) { return Real(l.dy.row(i)[j]); };
            const auto w = [&](Index i, Index j) { return Real(T(l.w.row(i)[j])); };
            const auto wt = [&](Index i, Index j) { return w(j, i); };
            const auto dyt = [&](Index i, Index j) { return dy(j, i); };
            CHECK(worst_error<Real>(l.y, s.out, 0, s.in, x, wt) <= 1);
            CHECK(worst_error<Real>(l.dx, s.in, 0, s.out, dy, w) <= 1);
            CHECK(worst_error<Real>(l.dw, s.in, 1, s.n, dyt, x) <= 1);
            if constexpr (!std::is_same_v<T, Real>)
                CHECK(worst_error<Real>(l.sums, s.out, 0, s.in, x, wt) <= 1);
        }
}

TEMPLATE_TEST_CASE("Linear on a GPU gives the same bits twice", "[device]", float, double, Bf16) {
    const Layer<TestType> one(Device::cuda, {33, 65, 170}), two(Device::cuda, {33, 65, 170});
    CHECK(same_bits(one.y, two.y));
    CHECK(same_bits(one.sums, two.sums));
    CHECK(same_bits(one.dx, two.dx));
    CHECK(same_bits(one.dw, two.dw));
}

TEST_CASE("Linear on a GPU adds to dW beside what comes next, with the same bits", "[device]") {
    const auto dw = [](bool beside, bool joined) {
        ParamStore<float> params(Device::cuda);
        const Shape square{{'O', 32}, {'I', 32}};
        const Param<float> p = params.declare({.name = "w", .shape = square, .init = {}});
        Plan plan(Device::cuda);
        Linear<float> linear(plan, "layer", p, 32);
        params.allocate(1);
        const Frame frame(std::move(plan), params);
        const Context ctx = Context{Device::cuda}.in(frame);
        const auto x = on_device(Device::cuda, Array<float>(square, "x").values());
        const DeviceArray<float> dx(32 * 32, Device::cuda), seen(32 * 32, Device::cuda);
        const View<float> in = x.view(0, square);
        beside ? linear.backward_beside(ctx, in, in, dx.view(0, square))
               : linear.backward(ctx, in, in, dx.view(0, square));
        if (joined) gpu::join();
        copy<float>(ctx, ctx.grad(p), seen.view(0, square));
        return seen.fetch();
    };
    const std::uint64_t order = emulated::order();
    emulated::set_order(0);  // a stream goes on as far as it can before another does
    const std::vector<float> want = dw(false, false);
    CHECK(dw(true, true) == want);
    CHECK(dw(true, false) == std::vector<float>(32 * 32));
    const Environment off("PLUMB_SIDE", "0");
    CHECK(dw(true, false) == want);
    emulated::set_order(order);
}

TEST_CASE("Linear on a GPU copies W in bf16, and in no other type", "[device]") {
    CHECK(Layer<Bf16>(Device::cuda, {4, 64, 64}).bytes == 2 * 64 * 64);
    CHECK(Layer<float>(Device::cuda, {4, 64, 64}).bytes == 0);
    CHECK(Layer<double>(Device::cuda, {4, 64, 64}).bytes == 0);
}

TEST_CASE("Linear on a GPU reads W as it was at the last prepare()", "[device]") {
    ParamStore<float> params(Device::cuda);
    const Param<float> p = params.declare({.name = "w", .shape = {{'O', 1}, {'I', 1}}, .init = {}});
    Plan plan(Device::cuda);
    Linear<Bf16> linear(plan, "layer", p, 1);
    params.allocate(1);
    const Frame frame(std::move(plan), params);
    const Context ctx = Context{Device::cuda}.in(frame);
    const auto x = on_device<Bf16>(Device::cuda, {Bf16(2.0f)});
    const DeviceArray<float> y(1, Device::cuda);
    const auto of = [&](float w) {
        put(ctx.value(p), &w);
        linear.prepare(ctx);
        linear.forward(ctx, x.view(0, {{'N', 1}, {'I', 1}}), y.view(0, {{'N', 1}, {'O', 1}}));
        return y.fetch()[0];
    };
    CHECK(of(1.5f) == 3);
    CHECK(of(1 + 0x1p-9f) == 2);  // rounded
    CHECK(of(-4) == -8);
}

}  // namespace plumb::test
