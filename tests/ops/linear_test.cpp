#include "ops/linear.h"

#include "catch.h"
#include "ops/gemm_rate.h"
#include "support/allocations.h"
#include "support/random.h"

#include <cstring>
#include <limits>

using namespace plumb;
using namespace plumb::test;

namespace {

struct Sizes {
    Index declared, n, out, in;
};

// A Linear, what it reads and what it writes. dw starts as 1, the rest that is written as 9.
template <class T>
struct Layer {
    using Real = RealOf<T>;

    explicit Layer(const Sizes& s, int threads = 1)
        : ctx{Device::cpu, threads},
          x({{'N', s.n}, {'I', s.in}}, "x"),
          dy({{'N', s.n}, {'O', s.out}}, "dy"),
          y({{'N', s.n}, {'O', s.out}}, T(9.0f)),
          dx({{'N', s.n}, {'I', s.in}}, T(9.0f)),
          sums({{'N', s.n}, {'O', s.out}}, Real(9)) {
        Plan plan;
        const Param<Real> p =
            params.declare({.name = "w", .shape = {{'O', s.out}, {'I', s.in}}, .init = {}});
        linear = Linear<T>(plan, "layer", p, s.declared);
        params.allocate(1);
        frame = std::make_unique<Frame>(std::move(plan), params);
        ctx = ctx.in(*frame);
        w = ctx.value(p), dw = ctx.grad(p);
        Array<Real> numbers(p.shape, "w");
        std::copy_n(numbers.view().data, w.count(), w.data);
        std::fill_n(dw.data, dw.count(), Real(1));
        linear.prepare(ctx);
    }
    void forward() { linear.forward(ctx, x, y); }
    void backward() { linear.backward(ctx, dy, x, dx); }

    Context ctx;
    Array<T> x, dy, y, dx;
    Array<Real> sums;
    ParamStore<Real> params;
    View<Real> w, dw;
    std::unique_ptr<Frame> frame;
    Linear<T> linear;
};

// |got - want| over its bound, k terms of sum |a b| = size: each float sum rounds k times, storing
// the result rounds once more.
template <class Real, class Out>
double error(Out got, double want, double size, Index k) {
    const double eps = std::numeric_limits<Real>::epsilon();
    const double stored = std::is_same_v<Out, Bf16> ? kBf16Epsilon / 2 : eps / 2;
    const double bound = static_cast<double>(k + 1) * eps * size;
    return std::abs(static_cast<double>(got) - want) / (bound + stored * (std::abs(want) + bound));
}

// Worst error of got (rows, cols) = start + A B, a(i, p) and b(p, j) as doubles.
template <class Real, class Out, class A, class B>
double product_error(View<const Out> got, double start, Index k, A&& a, B&& b) {
    double worst = 0;
    for (Index i = 0; i < got.extent(0); ++i)
        for (Index j = 0; j < got.extent(1); ++j) {
            double sum = start, size = std::abs(start);
            for (Index p = 0; p < k; ++p) {
                const double term = a(i, p) * b(p, j);
                sum += term, size += std::abs(term);
            }
            worst = worse(worst, error<Real>(got.row(i)[j], sum, size, k));
        }
    return worst;
}

template <class T>
void check_against_double(const Sizes& s, int threads) {
    using Real = RealOf<T>;
    INFO("n=" << s.n << " out=" << s.out << " in=" << s.in << " threads=" << threads);
    Layer<T> l(s, threads);
    l.forward();
    l.backward();
    const auto x = [&](Index i, Index j) { return static_cast<double>(l.x.row(i)[j]); };
    const auto dy = [&](Index i, Index j) { return static_cast<double>(l.dy.row(i)[j]); };
    // The operand: W as it is stored for T.
    const auto w = [&](Index i, Index j) {
        return static_cast<double>(static_cast<T>(l.w.row(i)[j]));
    };
    const auto wt = [&](Index i, Index j) { return w(j, i); };
    const auto dyt = [&](Index i, Index j) { return dy(j, i); };
    CHECK(product_error<Real, T>(l.y.view(), 0, s.in, x, wt) <= 1);
    CHECK(product_error<Real, T>(l.dx.view(), 0, s.out, dy, w) <= 1);
    CHECK(product_error<Real, Real>(l.dw, 1, s.n, dyt, x) <= 1);
    if constexpr (!std::is_same_v<T, Real>) {
        l.linear.forward(l.ctx, l.x, l.sums);
        CHECK(product_error<Real, Real>(l.sums.view(), 0, s.in, x, wt) <= 1);
    }
}

template <class N>
bool same_bits(Array<N>& a, Array<N>& b) {
    return std::memcmp(a.values().data(), b.values().data(), a.values().size() * sizeof(N)) == 0;
}

}  // namespace

TEMPLATE_TEST_CASE("Linear against double", "[ops]", float, double, Bf16) {
    for (const Sizes& s : {Sizes{1, 1, 1, 1},
                           {5, 5, 3, 7},
                           {64, 64, 96, 33},
                           {130, 130, 70, 257},
                           {300, 300, 130, 65},
                           {300, 7, 130, 65},  // fewer tokens than declared
                           {4, 9, 64, 48},     // more
                           {2, 1, 700, 260},   // few tokens, much weight
                           {2, 2, 700, 260},
                           {32, 32, 513, 300},
                           {33, 33, 513, 300}})
        for (const int threads : {1, 2}) check_against_double<TestType>(s, threads);
}

TEMPLATE_TEST_CASE("Linear gives the same bits for any number of threads", "[ops]", float, double,
                   Bf16) {
    for (const Sizes& s : {Sizes{1, 1, 1376, 256},
                           {16, 16, 1376, 256},
                           {31, 31, 257, 1031},
                           {520, 520, 384, 256},
                           {333, 333, 259, 1100},
                           {1030, 1030, 200, 130}}) {
        INFO("n=" << s.n << " out=" << s.out << " in=" << s.in);
        Layer<TestType> one(s, 1);
        one.forward(), one.backward();
        for (const int threads : {2, 3}) {
            Layer<TestType> more(s, threads);
            more.forward(), more.backward();
            CHECK(same_bits(one.y, more.y));
            CHECK(same_bits(one.dx, more.dx));
            CHECK(one.params.grads() == more.params.grads());
        }
    }
}

TEST_CASE("The float products of bf16 numbers agree with oneDNN's", "[ops]") {
    for (const Sizes& s : {Sizes{300, 300, 130, 65}, {2, 2, 700, 260}, {600, 600, 37, 1030}}) {
        Layer<Bf16> l(s, 2);
        l.linear.forward(l.ctx, l.x, l.sums), l.backward();
        const auto other = widening_products({s.declared, s.out, s.in});
        Plan plan;
        other->declare(plan, "other");
        const Frame frame(std::move(plan));
        Layer<Bf16> o(s, 2);
        const Context ctx = o.ctx.in(frame);
        other->pack(ctx, l.w.data);
        other->forward_sums(ctx, s.n, o.x.values().data(), o.sums.values().data());
        other->backward_input(ctx, s.n, o.dy.values().data(), o.dx.values().data());
        other->backward_weight(ctx, s.n, o.dy.values().data(), o.x.values().data(), o.dw.data);
        const double eps = std::numeric_limits<float>::epsilon();
        CHECK(relative_error(l.sums.span(), o.sums.span()) <= static_cast<double>(s.in) * eps);
        CHECK(relative_error(numbers(l.dw), numbers(o.dw)) <= static_cast<double>(s.n) * eps);
        CHECK(relative_error(l.dx.span(), o.dx.span()) <= static_cast<double>(kBf16Epsilon));
    }
}

TEMPLATE_TEST_CASE("Linear allocates nothing after its first call", "[ops]", float, Bf16) {
    if (!kMemoryIsMeasured) return;
    Layer<TestType> l({300, 300, 384, 130}, 2);
    l.forward(), l.backward();
    start_counting();
    l.linear.prepare(l.ctx);
    l.forward(), l.backward();
    const Allocations a = stop_counting();
    INFO(a.where);
    CHECK(a.ours == 0);
}

TEST_CASE("Linear: what it refuses, what it skips", "[ops]") {
    Layer<float> l({4, 4, 3, 5});
    CHECK_THROWS_AS(l.linear.forward(l.ctx, l.dy, l.y), InternalError);
    Plan plan;
    CHECK_THROWS_AS(Linear<float>(plan, "no weight", {}, 4), InternalError);
    l.linear.backward(l.ctx, l.dy, l.x, {});  // no dx wanted
    CHECK(l.dx[0] == 9.0f);
    CHECK(l.dw.data[0] != 1.0f);
    CHECK_THROWS_AS(l.linear.forward({}, l.x, l.y), InternalError);  // no frame
}

TEST_CASE("Linear copies W where a copy is faster, and nowhere else", "[ops]") {
    CHECK(Layer<Bf16>({4, 4, 128, 128}).frame->plan().total_bytes() > 0);
    CHECK(Layer<float>({4, 4, 128, 128}).frame->plan().total_bytes() == 0);
    CHECK(Layer<double>({400, 4, 128, 128}).frame->plan().total_bytes() == 0);
}

TEMPLATE_TEST_CASE("GEMM rates are positive and finite", "[ops]", float, Bf16) {
    const Context ctx;
    for (const LinearCall call : {LinearCall::forward, LinearCall::dx, LinearCall::dw}) {
        const double seconds = gemm_seconds<TestType>(ctx, call, 32, 48, 64, 3);
        CHECK((seconds > 0 && seconds < 60));
    }
    const double rate = measure_gemm_rate<TestType>(ctx, 32, 48, 64, 0.001);
    CHECK((rate > 0 && rate < 1e15));
}

TEST_CASE("linear: a plan for a device without its passes is refused, and nothing is declared",
          "[ops]") {
    Plan plan(Device::cuda);
    ParamStore<float> params;
    const Param<float> w =
        params.declare({.name = "w", .shape = {{'O', 512}, {'I', 512}}, .init = {}});
    CHECK_THROWS_WITH(Linear<Bf16>(plan, "layer", w, 512), contains_text("linear"));
    CHECK(plan.total_bytes() == 0);
}
