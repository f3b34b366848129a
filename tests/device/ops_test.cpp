#include "device/on_both.h"
#include "ops/activation.h"
#include "ops/columns.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/reduce.h"

namespace plumb::test {

TEST_CASE("device: embedding", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        using Real = RealOf<T>;
        const int V = 11;
        on_both(op_name<T>("embedding", s.N, s.C), [&](OnDevice& d) {
            const auto tokens = d.put<std::int32_t>(ids(s.N, V), {{'N', s.N}});
            const auto table = d.put<Real>(some<Real>("table", V * s.C), matrix_shape(V, s.C));
            const auto dtable = d.put<Real>(some<Real>("dtable", V * s.C), matrix_shape(V, s.C));
            const auto dout = d.put<T>(some<T>("dout", s.N * s.C), matrix_shape(s.N, s.C));
            const auto out = d.room<T>(matrix_shape(s.N, s.C));
            embedding<T>(d.ctx, tokens, table, out);
            embedding_backward<T>(d.ctx, tokens, dout, dtable);
            d.left("out", out, 0);
            d.left("dtable", dtable, 0);
        });
    });
}

TEST_CASE("device: copies", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        using Real = RealOf<T>;
        on_both(op_name<T>("copies", s.N, s.C), [&](OnDevice& d) {
            const auto x = d.put<T>(some<T>("x", s.N * s.C), matrix_shape(s.N, s.C));
            const auto y = d.room<T>(matrix_shape(s.N, s.C));
            const auto wide = d.room<Real>(matrix_shape(s.N, s.C));
            const auto zero = d.room<Real>(matrix_shape(s.N, s.C));
            copy<T>(d.ctx, x, y);
            widen<T>(d.ctx, x, wide);
            clear<Real>(d.ctx, zero);
            d.left("copy", y, 0);
            d.left("widen", wide, 0);
            d.left("clear", zero, 0);
        });
    });
}

TEST_CASE("device: sums", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        using Real = RealOf<T>;
        on_both(op_name<T>("sums", s.N, s.C), [&](OnDevice& d) {
            const auto x = d.put<T>(some<T>("x", s.N * s.C), matrix_shape(s.N, s.C));
            const auto sum = d.room<double>({{'S', 1}});
            total_dot<T>(d.ctx, x, x, sum);
            d.left("total_dot", sum, TypeName<Real>::bound);
            if constexpr (sizeof(T) == sizeof(Real)) {
                const auto out = d.put<Real>(some<Real>("out", s.C), {{'C', s.C}});
                add_partials<Real>(d.ctx, x, out);
                d.left("add_partials", out, TypeName<Real>::bound);
            }
        });
    });
}

TEST_CASE("device: whether all numbers are finite", "[device]") {
    for_reals([](auto t) {
        using Real = decltype(t);
        for (const Index n : {1, 8, 1033})
            on_both(op_name<Real>("all_finite", 1, n), [&](OnDevice& d) {
                Numbers x = some<Real>("x", n);
                const auto finite = [&] {
                    return all_finite<Real>(d.ctx, d.put<Real>(x, {{'P', n}}));
                };
                d.left("of all", finite());
                x.back() = -INFINITY;
                d.left("of all but the last", finite());
                x.back() = 0, x.front() = NAN;
                d.left("of all but the first", finite());
                CHECK(d.all()[0].numbers[0] == 1);
                CHECK(d.all()[1].numbers[0] + d.all()[2].numbers[0] == 0);
            });
    });
}

TEST_CASE("device: activations", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        for (const Activation kind : {Activation::swiglu, Activation::gelu})
            on_both(op_name<T>("activation", s.N, s.C), [&](OnDevice& d) {
                const Index wide = kind == Activation::swiglu ? 2 * s.C : s.C;
                const auto up = d.put<T>(some<T>("up", s.N * wide, 3), matrix_shape(s.N, wide));
                const auto da = d.put<T>(some<T>("da", s.N * s.C), matrix_shape(s.N, s.C));
                const auto dup = d.room<T>(matrix_shape(s.N, wide));
                const auto a = d.room<T>(matrix_shape(s.N, s.C)),
                           again = d.room<T>(matrix_shape(s.N, s.C));
                activation<T>(d.ctx, kind, up, a);
                activation_backward<T>(d.ctx, kind, up, da, dup, again);
                d.left("a", a, TypeName<T>::bound);
                d.left("a again", again, TypeName<T>::bound);
                d.left("dup", dup, TypeName<T>::bound);
            });
    });
}

TEST_CASE("device: dropout", "[device]") {
    for_all([](auto t, OpShape s) {
        using T = decltype(t);
        for (const double p : {0.0, 0.1, 0.75})
            on_both(op_name<T>("dropout", s.N, s.C), [&](OnDevice& d) {
                const auto x = d.put<T>(some<T>("x", s.N * s.C), matrix_shape(s.N, s.C));
                dropout<T>(d.ctx, {p, 0x123456789abcdef0u, 0xfedcba9876543210u}, x);
                d.left("x", x, 0);
            });
    });
}

TEST_CASE("device: columns", "[device]") {
    struct ColumnShape {
        Index N, P, Q, first;  // P of Q columns, from `first`
    };
    for_types([](auto t) {
        using T = decltype(t);
        using Real = RealOf<T>;
        for (const ColumnShape& s :
             {ColumnShape{1, 1, 1, 0}, {5, 7, 24, 11}, {65, 8, 25, 8}, {65, 64, 264, 64}})
            for (const bool add : {false, true})
                on_both(op_name<T>("columns", s.N, s.P), [&](OnDevice& d) {
                    const Shape whole = matrix_shape(s.N, s.Q), part = matrix_shape(s.N, s.P);
                    const auto x = d.put<T>(some<T>("x", s.N * s.P), part);
                    const auto taken = d.room<T>(part);
                    const auto all = d.put<T>(some<T>("all", s.N * s.Q), whole);
                    const auto from = d.put<T>(some<T>("from", s.N * s.Q), whole);
                    const auto to = d.put<T>(some<T>("to", s.N * s.Q), whole);
                    const auto dto = d.put<T>(some<T>("dto", s.N * s.Q), whole);
                    const auto scale = d.put<Real>({0.75}, {{'S', 1}});
                    const auto dscale = d.put<Real>({100}, {{'S', 1}});  // a sum that cancels
                    const auto dfrom = d.put<Real>(some<Real>("dfrom", s.N * s.P), part);
                    const auto sums = d.room<Real>({{'P', n_chunks(s.N)}});
                    take_columns<T>(d.ctx, all, s.first, taken);
                    put_columns<T>(d.ctx, x, s.first, all);
                    add_last_columns<T>(d.ctx, from, s.P, scale, to);
                    add_last_columns_backward<T>(d.ctx, from, scale, dto, add, sums, dscale, dfrom);
                    d.left("take", taken, 0);
                    d.left("put", all, 0);
                    d.left("to", to, TypeName<T>::bound);
                    d.left("dfrom", dfrom, TypeName<Real>::bound);
                    d.left("dscale", dscale, TypeName<Real>::bound);
                    add_to_last_columns<T>(d.ctx, dfrom, to);
                    d.left("to with dfrom", to, TypeName<T>::bound);
                });
    });
}

}  // namespace plumb::test
