#include "gpu/kernel_checks.h"
#include "gpu/ops_checks.h"
#include "ops/attention_mma_launch.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// Columns first .. first + count - 1 of rows of `width`.
Numbers columns_of(const Numbers& x, long width, long first, long count) {
    Numbers out;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const long c = static_cast<long>(i) % width;
        if (c >= first && c < first + count) out.push_back(x[i]);
    }
    return out;
}

// As T has them.
template <class T>
Numbers rounded(const Numbers& x) {
    Numbers y = x;
    for (double& v : y) v = static_cast<double>(static_cast<RealOf<T>>(T(RealOf<T>(v))));
    return y;
}

// tensor_cores: those of bf16 (ops/attention_mma.cuh); bounds as tests/device/attention_test.cpp
// derives them.
template <class T>
void check_case(Report& report, const AttentionCase& c, bool tensor_cores) {
    using Real = RealOf<T>;
    const long N = c.batch * c.context, width = (c.heads + 2 * c.kv_heads) * c.dim,
               out_width = c.heads * c.dim;
    const double eps = 1e-5;
    const Numbers qkv = drawn<T>("qkv", size(N * width)),
                  dout = drawn<T>("dout", size(N * out_width));
    Numbers gain_q, gain_k;
    if (c.gains)
        gain_q = drawn<Real>("gain_q", size(c.dim)), gain_k = drawn<Real>("gain_k", size(c.dim));
    const AttentionReference want =
        attention_reference(c, qkv, gain_q, gain_k, eps, dout, rounded<T>);
    std::string name = "attention, " + std::string(Rounding<T>::name);
    for (const auto& [letter, n] : {std::pair<const char*, long>{" B=", c.batch},
                                    {" T=", c.context},
                                    {" H=", c.heads},
                                    {"/", c.kv_heads},
                                    {" D=", c.dim}})
        name += letter + std::to_string(n);
    name += std::string(c.gains ? " norm" : "") + (c.dropout > 0 ? " dropout" : "") +
            (tensor_cores ? ", tensor cores" : "");
    check_op(report, name, [&] {
        const Buffer<T> x(qkv), out(want.out.size()), dy(dout), saved(want.out), dqkv(qkv.size());
        const Buffer<Real> gq(gain_q), gk(gain_k), cos(want.cos), sin(want.sin),
            lse(want.lse.size()), saved_lse(want.lse), one_q(Numbers(size(c.dim), 1)),
            one_k(Numbers(size(c.dim), 1));
        const AttentionArgs<T> args{c.batch,
                                    c.context,
                                    c.heads,
                                    c.kv_heads,
                                    c.dim,
                                    x,
                                    c.gains ? gq.at() : nullptr,
                                    c.gains ? gk.at() : nullptr,
                                    Real(eps),
                                    cos,
                                    sin,
                                    {kDropoutSeed, kDropoutStream, want.threshold, want.factor}};
        const Buffer<Real> part(size(attention_dgain_numbers(args)));
        const gpu::AttentionGradients<T> g{dy, saved, saved_lse, dqkv,
                                           c.gains ? part.at() : nullptr};
        const AttentionShape s{c.batch, c.context, c.heads, c.kv_heads, c.dim};
        if (!tensor_cores) {
            gpu::attention<T>(stream(), args, out, lse);
            gpu::attention_backward<T>(stream(), args, g, one_q, one_k);
        } else if constexpr (std::is_same_v<T, Bf16>) {
            const Buffer<float> scratch(size(attention_gpu_scratch<T>(s)));
            attention_mma(stream(), args, scratch.at(), out, lse);
            attention_mma_backward(stream(), args, g, scratch.at(), one_q, one_k);
        }
        Outputs o;
        const double bound = TypeName<T>::bound, real = TypeName<Real>::bound,
                     of_gradients = tensor_cores ? 1e-2 : real;
        o.add_whole("out", out.get(), want.out, bound);
        o.add_whole("lse", lse.get(), want.lse, tensor_cores ? 1e-3 : real);
        const Numbers got = dqkv.get();
        long first = 0;
        for (const auto& [kind, heads] :
             {std::pair<const char*, int>{"dq", c.heads}, {"dk", c.kv_heads}, {"dv", c.kv_heads}}) {
            const long count = long{heads} * c.dim;
            o.add_whole(kind, columns_of(got, width, first, count),
                        columns_of(want.dqkv, width, first, count),
                        tensor_cores && kind[1] != 'v' ? of_gradients : bound);
            first += count;
        }
        if (!c.gains) return o;
        o.add_whole("dgain_q", one_q.get(), want.dgain_q, of_gradients);
        o.add_whole("dgain_k", one_k.get(), want.dgain_k, of_gradients);
        return o;
    });
}

}  // namespace

// One position, less than a tile and more, heads that share keys, D no multiple of 16, D for which
// there is room for the smallest tiles alone.
void check_attention(Report& report) {
    constexpr AttentionCase cases[] = {
        {1, 1, 1, 1, 2, false, 0},   {2, 5, 2, 1, 8, true, 0},    {1, 65, 4, 2, 16, true, 0},
        {2, 33, 3, 3, 24, false, 0}, {1, 130, 2, 1, 64, true, 0}, {1, 70, 1, 1, 128, true, 0},
        {1, 33, 2, 1, 296, true, 0}, {2, 40, 2, 2, 8, true, 0.2}, {1, 130, 2, 1, 16, false, 0.5}};
    for_types([&](auto t) {
        using T = decltype(t);
        for (const AttentionCase& c : cases) check_case<T>(report, c, false);
        for (const AttentionCase& c : cases)
            if (attention_gpu_scratch<T>({c.batch, c.context, c.heads, c.kv_heads, c.dim}) > 0)
                check_case<T>(report, c, true);
    });
}

}  // namespace plumb::test
