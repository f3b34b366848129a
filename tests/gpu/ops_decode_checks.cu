#include "gpu/ops_checks.h"
#include "ops/attention_decode.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// `count` positions at once, then one by one up to `context`.
template <class T>
void check_case(Report& report, const AttentionCase& c, long count) {
    const long width = (c.heads + 2 * c.kv_heads) * c.dim;
    const Numbers qkv = drawn<T>("qkv", size(c.batch * c.context * width));
    Numbers gain_q, gain_k;
    if (c.gains) gain_q = drawn<T>("gain_q", size(c.dim)), gain_k = drawn<T>("gain_k", size(c.dim));
    const double eps = 1e-5, bound = TypeName<T>::bound;
    const DecodeReference want = decode_reference(c, count, qkv, gain_q, gain_k, eps);
    const std::string name = "attention_decode, " + std::string(Rounding<T>::name) +
                             " B=" + std::to_string(c.batch) + " T=" + std::to_string(c.context) +
                             " H=" + std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) +
                             " D=" + std::to_string(c.dim) + (c.gains ? " norm" : "");
    check_op(report, name, [&] {
        const Buffer<T> gq(gain_q), gk(gain_k), cos(want.cos), sin(want.sin),
            keys(Numbers(want.keys.size(), 0.0)), values(Numbers(want.values.size(), 0.0));
        Outputs o;
        for (long first = 0; first < c.context; first += first == 0 ? count : 1) {
            const long now = first == 0 ? count : 1;
            const Buffer<T> x(decode_rows(c, qkv, first, now, count)),
                out(size(c.batch * count * c.heads * c.dim));
            gpu::attention_decode<T>(stream(),
                                     {c.batch, c.context, first, now, count, c.heads, c.kv_heads,
                                      c.dim, want.room, x, c.gains ? gq.at() : nullptr,
                                      c.gains ? gk.at() : nullptr, T(eps), cos, sin, keys, values},
                                     out);
            Numbers got = out.get();
            for (std::size_t i = 0; i < got.size(); ++i)  // rows from `now` on stay as they were
                if (static_cast<long>(i) / (c.heads * c.dim) % count >= now)
                    got[i] = got[i] != got[i] ? 0 : NAN;
            o.add_whole("out at " + std::to_string(first), got,
                        want.out[size(first == 0 ? 0 : first - count + 1)], bound);
        }
        o.add_whole("keys", keys.get(), want.keys, bound);
        o.add_whole("values", values.get(), want.values, 0x1p-1000);
        return o;
    });
}

}  // namespace

void check_decode(Report& report) {
    constexpr AttentionCase cases[] = {{1, 1, 1, 1, 2, false, 0},
                                       {2, 6, 4, 2, 8, true, 0},
                                       {1, 300, 2, 1, 24, true, 0},
                                       {3, 5, 3, 3, 64, false, 0}};
    for (const AttentionCase& c : cases) {
        const long count = c.context > 5 ? c.context - 3 : c.context > 1 ? 2 : 1;
        check_case<double>(report, c, count);
        check_case<float>(report, c, count);
    }
}

}  // namespace plumb::test
