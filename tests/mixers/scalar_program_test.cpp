// The scalars of rules as programs: numbers and gradients of every rule against its text on doubles
// and on dual numbers, and what tracing leaves out.
#include "mixers/scalar_program.h"
#include "core/rng.h"
#include "support/every_mixer.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// Outputs and gradients of inputs, of one token.
struct Result {
    std::vector<double> out, din;
};

// c and A of site l on any kind of number; u and w are one array.
template <class N>
std::vector<N> scalars(const Rule& rule, int l, const N* u, const N* p) {
    const bool last = l > rule.sublayers();
    const auto n = static_cast<std::size_t>(rule.groups()),
               rows = static_cast<std::size_t>(rule.rows(l));
    std::vector<N> c(n * rows * static_cast<std::size_t>(rule.ways(l)));
    rule.read(l, u, p, c.data());
    if (last) return c;
    std::vector<N> a(n * static_cast<std::size_t>(rule.rows(l + 1)) * (rows + 1));
    rule.write(l, u, u + rule.read_dots(l).size(), p, a.data());
    c.insert(c.end(), a.begin(), a.end());
    return c;
}

// Random positive inputs: dots of a row with itself are.
std::vector<double> positive(std::size_t n, std::uint64_t seed) {
    const CounterRng rng(seed, "scalar_program_test");
    std::vector<double> x;
    for (std::size_t i = 0; i < n; ++i) x.push_back(0.2 + rng.uniform(i));
    return x;
}

// dLoss/dout of output i.
double seed(std::size_t i) { return std::cos(static_cast<double>(i)); }

Result of_duals(const Rule& rule, int l, std::span<const double> u, std::span<const double> p) {
    Result all{scalars(rule, l, u.data(), p.data()), std::vector<double>(u.size() + p.size())};
    std::vector<DualNumber> in(u.begin(), u.end());
    in.insert(in.end(), p.begin(), p.end());
    const auto along = [&] {
        const std::vector<DualNumber> out = scalars(rule, l, in.data(), in.data() + u.size());
        DualNumber::Directions sum{};
        for (std::size_t i = 0; i < out.size(); ++i) sum += seed(i) * out[i].d;
        return sum;
    };
    gradient_by_duals(std::ssize(in), in.data(), along, all.din.data());
    return all;
}

// Of the last lane; the others have other numbers.
Result of_program(const Rule& rule, int l, std::span<const double> u, std::span<const double> p) {
    using L = Lanes<double>;
    const ScalarProgram program(
        static_cast<int>(u.size()), static_cast<int>(p.size()),
        [&](const Traced* x, const Traced* y) { return scalars(rule, l, x, y); });
    const auto lanes = [](std::span<const double> x) {
        std::vector<L> all;
        for (const double v : x)
            for (int t = (all.emplace_back(), 0); t < kTile; ++t)
                all.back().data()[t] = v + 0.01 * (kTile - 1 - t);
        return all;
    };
    const std::vector<L> in_u = lanes(u), in_p = lanes(p);
    std::vector<L> out(static_cast<std::size_t>(program.n_outputs())), dout, du(u.size(), L(0)),
        dp(p.size(), L(0));
    program.forward(in_u.data(), in_p.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) dout.push_back(seed(i));
    program.backward(in_u.data(), in_p.data(), dout.data(), du.data(), dp.data());
    Result all;
    for (const L& x : out) all.out.push_back(x.data()[kTile - 1]);
    for (const auto& d : {du, dp})
        for (const L& x : d) all.din.push_back(x.data()[kTile - 1]);
    return all;
}

int steps(const ScalarProgram::Text& text) { return ScalarProgram(2, 1, text).n_steps(); }

}  // namespace

TEST_CASE("a program of every rule gives its numbers and the duals' gradients", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{4, 1, 6, 1e-3};
        const RulePtr rule = make_rule(config, shape);
        for (int l = 1; l <= shape.sublayers() + 1; ++l) {
            std::size_t n_p = 0, n_u = rule->read_dots(l).size();
            if (l <= shape.sublayers()) n_u += rule->write_dots(l).size();
            for (const RuleParam& p : rule->params(l))
                if (p.is == RuleParam::Is::numbers)
                    n_p += static_cast<std::size_t>(p.shape.count());
            const std::vector<double> u = positive(n_u, 1), p = positive(n_p, 2);
            const Result want = of_duals(*rule, l, u, p), got = of_program(*rule, l, u, p);
            INFO("site " << l);
            REQUIRE(got.out.size() == want.out.size());
            for (std::size_t i = 0; i < want.out.size(); ++i)
                CHECK(std::abs(got.out[i] - want.out[i]) <= 1e-13 * (1 + std::abs(want.out[i])));
            for (std::size_t i = 0; i < want.din.size(); ++i)
                CHECK(std::abs(got.din[i] - want.din[i]) <= 1e-12 * (1 + std::abs(want.din[i])));
        }
    });
}

TEST_CASE("a program does nothing twice, and nothing on constants alone", "[mixers]") {
    using T = Traced;
    CHECK(steps([](const T* u, const T*) {
              return std::vector<T>{u[0] + T(0), T(1) * u[1]};
          }) == 0);
    CHECK(steps([](const T*, const T*) { return std::vector<T>{exp(T(2)) * T(3)}; }) == 1);
    CHECK(steps([](const T* u, const T*) {
              return std::vector<T>{exp(u[0]) * u[1], u[1] - exp(u[0])};
          }) == 3);
    // A product that is added is one step, as itself no output needs it.
    CHECK(steps([](const T* u, const T* p) { return std::vector<T>{u[0] * u[1] + p[0]}; }) == 1);
    CHECK(steps([](const T* u, const T* p) {
              const T product = u[0] * u[1];
              return std::vector<T>{product + p[0], product};
          }) == 2);
}

TEST_CASE("gradients of a program's inputs are added", "[mixers]") {
    using L = Lanes<float>;
    const ScalarProgram program(1, 1, [](const Traced* u, const Traced* p) {
        return std::vector<Traced>{u[0] * p[0], p[0]};
    });
    const L u(2), p(3), dout[2] = {L(10), L(100)};
    L du(7), dp(7);
    program.backward(&u, &p, dout, &du, &dp);
    for (int t = 0; t < kTile; ++t) {
        CHECK(du.data()[t] == 7 + 30);
        CHECK(dp.data()[t] == 7 + 20 + 100);
    }
}

TEST_CASE("an inner product is one step, also of constants and of itself", "[mixers]") {
    const auto text = [](const Traced* u, const Traced* p) {
        const Traced a[3] = {u[0], p[0], 2}, b[3] = {u[0], u[1], u[0]};
        return std::vector<Traced>{inner(3, a, b)};
    };
    CHECK(steps(text) == 2);  // with the constant
    const ScalarProgram program(2, 1, text);
    const double u[2] = {3, 5}, p = 7, dout = 10;
    double out = 0, du[2] = {0, 0}, dp = 0;
    program.forward(u, &p, &out);
    CHECK(out == 9 + 35 + 6);
    program.backward(u, &p, &dout, du, &dp);
    CHECK(du[0] == 10 * (2 * 3 + 2));
    CHECK(du[1] == 10 * 7);
    CHECK(dp == 10 * 5);
}

TEST_CASE("a program of many numbers and of a long chain", "[mixers]") {
    constexpr int kNumbers = 40'000;
    const ScalarProgram program(1, kNumbers, [](const Traced* u, const Traced* p) {
        Traced x = u[0];
        for (int i = 0; i < kNumbers; ++i) x = p[i] - x;
        return std::vector<Traced>{x};
    });
    CHECK(program.n_steps() == kNumbers);
    std::vector<double> p(kNumbers), dp(kNumbers, 0.0);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<double>(i);
    const double u = 5, dout = 1;
    double out = 0, du = 0;
    program.forward(&u, p.data(), &out);
    CHECK(out == 5 + kNumbers / 2);
    program.backward(&u, p.data(), &dout, &du, dp.data());
    CHECK(du == 1);
    for (std::size_t i = 0; i < dp.size(); ++i) REQUIRE(dp[i] == (i % 2 ? 1 : -1));
}

TEST_CASE("tanh of lanes is tanh", "[mixers]") {
    for (const double x :
         {0.0, 1e-300, 1e-9, 0.01, 0.3, 0.4999, 0.5001, 0.7, 1.0, 5.0, 20.0, 800.0})
        for (const double sign : {1.0, -1.0}) {
            const double y = tanh(Lanes<double>(sign * x)).data()[kTile - 1];
            CHECK(std::abs(y - std::tanh(sign * x)) <= 1e-15 * x);
        }
    CHECK(tanh(Lanes<double>(INFINITY)).data()[0] == 1);
    CHECK(std::isnan(tanh(Lanes<double>(NAN)).data()[0]));
}
