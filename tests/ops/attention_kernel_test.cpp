// Every kernel of attention that this machine runs against attention in double, with the errors of
// the generic kernel on the same numbers as the measure.
#include "ops/attention_kernel.h"

#include "catch.h"
#include "ops/attention_case.h"

#include <bit>
#include <cstring>

using namespace plumb;
using namespace plumb::test;

namespace {

// Where memory alone is in question, a few edges do.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kSlow = true;
#else
constexpr bool kSlow = false;
#endif

struct Case {
    AttentionShape shape;
    bool norm = false;
    double dropout = 0, scale = 1;
};

std::string text(const Case& c, AttentionKernel kernel) {
    return fmt::format("{} T={} D={} heads={}/{} norm={} dropout={} scale={}", name_of(kernel),
                       c.shape.context, c.shape.head_dim, c.shape.heads, c.shape.kv_heads, c.norm,
                       c.dropout, c.scale);
}

// Columns first .. end of rows of `width`.
struct Columns {
    Index width = 1, first = 0, end = 1;
};

template <class A>
double rms(const A& x, const Array<double>* minus, const Columns& c) {
    double sum = 0, n = 0;
    for (Index i = 0; i < x.size(); ++i) {
        if (i % c.width < c.first || i % c.width >= c.end) continue;
        const double e = static_cast<double>(x[i]) - (minus ? (*minus)[i] : 0);
        sum += e * e, n += 1;
    }
    return std::sqrt(sum / n);
}

// Of got, relative to the size of want's columns, or of all of want where those (nearly) cancel.
template <class A>
double error(const A& got, const Array<double>& want, const Columns& c = {}) {
    return rms(got, &want, c) / std::max(rms(want, nullptr, c), 0.1 * rms(want, nullptr, {}));
}

double largest(const Array<double>& x) {
    double most = 0;
    for (Index i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i]));
    return most;
}

struct Errors {
    double out, lse, dq, dk, dv, dgain_q, dgain_k;
};

template <class T>
Attention<T> run(const Case& c, AttentionKernel kernel, int threads) {
    const ForceAttentionKernel force(kernel);
    Attention<T> a(c.shape, c.norm, threads, c.dropout, c.scale);
    a.forward(), a.backward();
    return a;
}

// In double, on the numbers that a has.
template <class T>
Attention<double> oracle(const Case& c, const Attention<T>& a) {
    Attention<double> o(c.shape, c.norm, 2, c.dropout);
    for (Index i = 0; i < a.qkv.size(); ++i) o.qkv[i] = static_cast<double>(a.qkv[i]);
    for (Index i = 0; i < a.dout.size(); ++i) o.dout[i] = static_cast<double>(a.dout[i]);
    for (Index i = 0; i < c.shape.head_dim; ++i) {
        o.gain_q[i] = static_cast<double>(a.gain_q[i]);
        o.gain_k[i] = static_cast<double>(a.gain_k[i]);
    }
    o.forward(), o.backward();
    return o;
}

template <class T>
Errors errors(const Attention<T>& a, const Attention<double>& o) {
    const AttentionShape& s = a.s;
    const Index w = s.qkv_width(), q = s.part_begin(1), k = s.part_begin(2);
    return {error(a.out, o.out),
            error(a.lse, o.lse),
            error(a.dqkv, o.dqkv, {w, 0, q}),
            error(a.dqkv, o.dqkv, {w, q, k}),
            error(a.dqkv, o.dqkv, {w, k, w}),
            error(a.dgain_q, o.dgain_q),
            error(a.dgain_k, o.dgain_k)};
}

// Kernels other than generic.
std::vector<AttentionKernel> tiled() {
    return {attention_kernels().begin() + 1, attention_kernels().end()};
}

template <class T>
void check(const Case& c) {
    const Attention<T> generic = run<T>(c, AttentionKernel::generic, 2);
    const Attention<double> o = oracle(c, generic);
    const Errors base = errors(generic, o);
    // What is allowed where few numbers happen to be nearly exact in `base`.
    const double eps = c.shape.context <= 2 ? 1e-5 : 1.2e-7;
    double stored = std::is_same_v<T, Bf16> ? kBf16Epsilon / 4 : eps;
    // A large score's own rounding is an error of its weight, whoever sums it in which order.
    if (c.scale > 1) stored = std::max(stored, eps / 2 * largest(o.lse));
    // A gain's gradient is the sum of n numbers one after the other, whose roundings walk: eps / 2
    // sqrt(n / 6) of the sum, twice.
    const double n = static_cast<double>(c.shape.tokens() * c.shape.heads);
    const double summed = std::max(stored, eps * std::sqrt(n / 6));
    for (const AttentionKernel kernel : tiled()) {
        const Errors e = errors(run<T>(c, kernel, 2), o);
        INFO(text(c, kernel));
        CHECK(e.out <= std::max(1.25 * base.out, stored));
        CHECK(e.lse <= std::max(1.25 * base.lse, eps));
        CHECK(e.dq <= std::max(1.7 * base.dq, stored));
        CHECK(e.dk <= std::max(1.7 * base.dk, stored));
        CHECK(e.dv <= std::max(1.7 * base.dv, stored));
        if (c.norm) CHECK(e.dgain_q <= std::max(1.7 * base.dgain_q, summed));
        if (c.norm) CHECK(e.dgain_k <= std::max(1.7 * base.dgain_k, summed));
    }
}

}  // namespace

TEST_CASE("kernels of attention at the edges of their tiles", "[ops]") {
    const std::vector<Index> sizes =
        kSlow ? std::vector<Index>{16, 128} : std::vector<Index>{16, 32, 64, 128};
    const std::vector<Index> contexts = kSlow
                                            ? std::vector<Index>{1, 33, 65}
                                            : std::vector<Index>{1, 2, 31, 32, 33, 63, 64, 65, 130};
    for (const Index d : sizes)
        for (const Index t : contexts)
            for (const Index kv_heads : {1, 2, 4}) {
                const Case c{{1, t, 4, kv_heads, d}};
                check<float>(c), check<Bf16>(c);
            }
}

TEST_CASE("kernels of attention with norm, gains and dropout", "[ops]") {
    for (const Index d : {16, 48, 96})
        for (const Index t : {33, kSlow ? 65 : 130})
            for (const auto& [norm, p] : {std::pair{true, 0.0}, {false, 0.3}, {true, 0.3}}) {
                const Case c{{2, t, 4, 2, d}, norm, p};
                check<float>(c), check<Bf16>(c);
            }
}

TEST_CASE("kernels of attention with large scores", "[ops]") {
    for (const Index d : {16, 32, 64, 128})
        for (const Index t : {33, kSlow ? 34 : 130})
            for (const double scale : {10.0, 40.0}) {
                const Case c{{2, t, 4, 2, d}, false, 0, scale};
                check<float>(c), check<Bf16>(c);
            }
}

namespace {

template <class A>
bool same_bits(A& a, A& b) {
    return a.size() == b.size() && std::memcmp(&a[0], &b[0], sizeof(a[0]) * a.values().size()) == 0;
}

template <class T>
void check_threads(AttentionKernel kernel) {
    const Case c{{3, 70, 4, 2, 48}, true, 0.2};
    Attention<T> one = run<T>(c, kernel, 1), two = run<T>(c, kernel, 2);
    INFO(text(c, kernel));
    CHECK((same_bits(one.out, two.out) && same_bits(one.lse, two.lse)));
    CHECK(same_bits(one.dqkv, two.dqkv));
    CHECK((same_bits(one.dgain_q, two.dgain_q) && same_bits(one.dgain_k, two.dgain_k)));
}

// A NaN in the head of token `bad` of part q, k or v: what of it and later ones reads as NaN.
template <class T>
void check_nan(AttentionKernel kernel) {
    const ForceAttentionKernel force(kernel);
    for (const int part : {0, 1, 2}) {
        Attention<T> a({1, 70, 2, 2, 32}, false, 1);
        const Index bad = 40, seen = part == 0 ? bad : 69;  // a query's own row; a later query
        a.qkv[bad * a.s.qkv_width() + a.s.part_begin(part) + 3] = T(std::nanf(""));
        a.forward(), a.backward();
        INFO(name_of(kernel) << " part " << part);
        CHECK(std::isnan(static_cast<double>(a.out[seen * a.s.out_width() + 3])));
        CHECK(!std::isnan(static_cast<double>(a.out[seen * a.s.out_width() + 32])));
        CHECK(std::isnan(static_cast<double>(a.dqkv[bad * a.s.qkv_width() + 3])));
        CHECK(!std::isnan(static_cast<double>(a.dqkv[bad * a.s.qkv_width() + 32])));
    }
    // Rounding to bf16 carries into the sign of this one.
    Attention<T> a({1, 33, 1, 1, 32}, true, 1);
    a.gain_k[3] = std::bit_cast<float>(0x7fffffffU);
    a.forward();
    INFO(name_of(kernel));
    CHECK(std::isnan(static_cast<double>(a.out[0])));
}

}  // namespace

TEST_CASE("kernels of attention give the same bits for any number of threads", "[ops]") {
    for (const AttentionKernel kernel : tiled())
        check_threads<float>(kernel), check_threads<Bf16>(kernel);
}

TEST_CASE("kernels of attention pass a NaN on", "[ops]") {
    for (const AttentionKernel kernel : attention_kernels())
        check_nan<float>(kernel), check_nan<Bf16>(kernel);
}

TEST_CASE("the kernel of attention is chosen by CPU, variable or test", "[ops]") {
    const AttentionKernel usual = attention_kernel();
    CHECK(attention_kernels().front() == AttentionKernel::generic);
    CHECK(attention_kernels().back() == AttentionKernel::amx_emulated);
    for (const AttentionKernel kernel : attention_kernels()) {
        const ForceAttentionKernel force(kernel);
        CHECK(attention_kernel() == kernel);
        CHECK(head_passes(24, true) == nullptr);
        CHECK(head_passes(144, true) == nullptr);
        CHECK((head_passes(128, true) == nullptr) == (kernel == AttentionKernel::generic));
    }
    CHECK(attention_kernel() == usual);
}
