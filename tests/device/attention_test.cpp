#include "ops/attention.h"

#include "device/on_both.h"
#include "ops/attention_decode.h"

namespace plumb::test {
namespace {

constexpr double kEps = 1e-5, kBase = 100;

std::string name_of(const AttentionShape& s, bool gains, double p) {
    return fmt::format("B={} T={} H={}/{} D={}{} p={}", s.batch, s.context, s.heads, s.kv_heads,
                       s.head_dim, gains ? " norm" : "", p);
}

template <class Real>
View<const Real> gain(OnDevice& d, bool wanted, const char* name, Index head_dim) {
    if (!wanted) return {};
    return d.put<Real>(some<Real>(name, head_dim), {{'D', head_dim}});
}

// `out` and `lse`, of the CPU's forward, are what backward is given: empty, and it keeps its own.
template <class T>
void attention_case(OnDevice& d, const AttentionShape& s, bool gains, double p, Numbers& saved_out,
                    Numbers& saved_lse) {
    using Real = RealOf<T>;
    const Index n = s.tokens(), half = s.head_dim / 2;
    const Shape wide = matrix_shape(n, s.qkv_width()), narrow = matrix_shape(n, s.out_width()),
                of_lse{{'B', s.batch}, {'H', s.heads}, {'T', s.context}},
                of_gain{{'D', s.head_dim}};
    const auto cos = d.room<Real>({{'T', s.context}, {'D', half}}),
               sin = d.room<Real>({{'T', s.context}, {'D', half}});
    rope_table<Real>(kBase, cos, sin);
    const auto scratch = d.room<Real>(
        {{'S', d.ctx.device == Device::cpu ? attention_scratch(s)
                                           : std::max<Index>(1, attention_gpu_scratch<T>(s))}});
    const auto dgain = d.room<Real>(attention_dgain(s, d.ctx.device));
    const AttentionWorkspace<Real> work{cos, sin, scratch, dgain};
    const Dropout dropout{p, 7, 9};
    // Tensor cores round q', k', P and dS to bf16, each by 0.43 2^-8 of itself in the root mean
    // square: a score by 1.4 of them, of D numbers of both signs; a gradient by 6 at most, its own
    // rounding and that of dout's mixes counted in.
    const bool rounds = attention_gpu_scratch<T>(s) > 0;
    const double bound_lse = rounds ? 1e-3 : TypeName<Real>::bound,
                 bound_qk = rounds ? 1e-2 : TypeName<T>::bound,
                 bound_gains = rounds ? 1e-2 : TypeName<Real>::bound;

    const auto qkv = d.put<T>(some<T>("qkv", wide.count()), wide);
    const auto dout = d.put<T>(some<T>("dout", narrow.count()), narrow);
    const auto gain_q = gain<Real>(d, gains, "gain_q", s.head_dim),
               gain_k = gain<Real>(d, gains, "gain_k", s.head_dim);
    const auto out = d.room<T>(narrow);
    const auto lse = d.room<Real>(of_lse);
    attention<T>(d.ctx, s, qkv, gain_q, gain_k, Real(kEps), out, lse, work, dropout);
    d.left("cos", cos, 0);
    d.left("out", out, TypeName<T>::bound);
    d.left("lse", lse, bound_lse);
    if (d.ctx.device == Device::cpu) saved_out = d.all()[1].numbers, saved_lse = d.all()[2].numbers;

    const auto dqkv = d.room<T>(wide);
    const auto dgain_q = d.put<Real>(Numbers(static_cast<std::size_t>(s.head_dim), 1), of_gain),
               dgain_k = d.put<Real>(Numbers(static_cast<std::size_t>(s.head_dim), 1), of_gain);
    attention_backward<T>(d.ctx, s, dout, qkv, gain_q, gain_k, Real(kEps),
                          d.put<T>(saved_out, narrow), d.put<Real>(saved_lse, of_lse), dqkv,
                          gains ? dgain_q : View<Real>{}, gains ? dgain_k : View<Real>{}, work,
                          dropout);
    for (const int part : {0, 1, 2}) {
        const auto of_part = d.room<T>(matrix_shape(n, s.part_width(part)));
        for (Index i = 0; i < n; ++i) {
            const Shape row{{'Q', s.part_width(part)}};
            const View<T> from{dqkv.row(i) + s.part_begin(part), row, d.ctx.device};
            plumb::put(View<T>{of_part.row(i), row, d.ctx.device}, fetch<T>(from).data());
        }
        d.left(std::string("d") + "qkv"[part], of_part, part < 2 ? bound_qk : TypeName<T>::bound);
    }
    d.left("dgain_q", dgain_q, bound_gains);
    d.left("dgain_k", dgain_k, bound_gains);
}

}  // namespace

TEST_CASE("device: attention", "[device]") {
    struct Case {
        AttentionShape s;
        bool gains;
        double p;
    };
    // A few positions (of one or two, dq is 0 but for rounding, or nearly), less than a tile and
    // more, heads that share keys, each size of tile.
    const Case cases[] = {{{1, 9, 1, 1, 2}, false, 0},    {{2, 5, 2, 1, 8}, true, 0},
                          {{1, 65, 4, 2, 16}, true, 0.1}, {{2, 33, 3, 3, 24}, false, 0},
                          {{1, 70, 2, 1, 128}, true, 0},  {{1, 33, 1, 1, 296}, true, 0},
                          {{1, 131, 2, 2, 64}, true, 0},  {{1, 64, 2, 1, 96}, false, 0.2}};
    for_types([&](auto t) {
        using T = decltype(t);
        for (const auto& [s, gains, p] : cases) {
            Numbers out, lse;
            on_both(Rounding<T>::name + (" " + name_of(s, gains, p)),
                    [&, &s = s, &gains = gains, &p = p](OnDevice& d) {
                        attention_case<T>(d, s, gains, p, out, lse);
                    });
        }
    });
}

TEST_CASE("device: attention refuses a head that a block has no room for", "[device]") {
    const AttentionShape s{1, 2, 1, 1, 1024};
    OnDevice d(Device::cuda);
    const auto table = d.room<float>({{'T', 2}, {'D', 512}});
    const auto qkv = d.room<float>(matrix_shape(2, s.qkv_width())),
               out = d.room<float>(matrix_shape(2, s.out_width())), lse = d.room<float>({{'T', 2}});
    REQUIRE_THROWS_WITH(
        attention<float>(d.ctx, s, qkv, {}, {}, 0.0F, out, lse, {table, table, {}, {}}),
        contains_text("model.head_dim=1024: attention on this GPU"));
}

TEST_CASE("device: attention_decode", "[device]") {
    const std::pair<AttentionShape, bool> cases[] = {{{1, 1, 1, 1, 2}, false},
                                                     {{2, 6, 4, 2, 8}, true},
                                                     {{1, 300, 2, 1, 24}, true},
                                                     {{3, 5, 3, 3, 64}, false}};
    for_reals([&](auto t) {
        using Real = decltype(t);
        for (const auto& [s, gains] : cases)
            on_both(Rounding<Real>::name + (" " + name_of(s, gains, 0)),
                    [&, &s = s, &gains = gains](OnDevice& d) {
                        const Index room = cache_positions(s.context), heads = s.batch * s.kv_heads,
                                    half = s.head_dim / 2,
                                    stride = std::max<Index>(1, s.context - 2);
                        const Shape of_keys{{'B', heads}, {'D', s.head_dim}, {'T', room}},
                            of_values{{'B', heads}, {'T', s.context}, {'D', s.head_dim}};
                        const Numbers none(static_cast<std::size_t>(of_keys.count()), 0);
                        const KeyValueCache<Real> cache{
                            d.put<Real>(none, of_keys),
                            d.put<Real>(Numbers(static_cast<std::size_t>(of_values.count()), 0),
                                        of_values)};
                        const auto cos = d.room<Real>({{'T', s.context}, {'D', half}}),
                                   sin = d.room<Real>({{'T', s.context}, {'D', half}});
                        rope_table<Real>(kBase, cos, sin);
                        const auto scores = d.room<Real>({{'B', heads}, {'T', room}});
                        const auto gain_q = gain<Real>(d, gains, "gain_q", s.head_dim),
                                   gain_k = gain<Real>(d, gains, "gain_k", s.head_dim);
                        // Some positions at once, the others one by one.
                        for (Index first = 0; first < s.context; first += first == 0 ? stride : 1) {
                            const DecodeRows rows{first, first == 0 ? stride : 1, stride};
                            const Shape wide = matrix_shape(s.batch * stride, s.qkv_width()),
                                        narrow = matrix_shape(s.batch * stride, s.out_width());
                            const auto qkv = d.put<Real>(
                                some<Real>(fmt::format("qkv{}", first), wide.count()), wide);
                            // Rows past `count` stay as they are.
                            const auto out = d.put<Real>(some<Real>("out", narrow.count()), narrow);
                            attention_decode<Real>(d.ctx, s, rows, qkv, gain_q, gain_k, Real(kEps),
                                                   cache, {cos, sin, scores}, out);
                            d.left(fmt::format("out at {}", first), out, TypeName<Real>::bound);
                        }
                        d.left("keys", cache.keys, TypeName<Real>::bound);
                        d.left("values", cache.values, 0);
                    });
    });
}

}  // namespace plumb::test
