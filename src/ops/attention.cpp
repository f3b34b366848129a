#include "core/device_memory.h"
#include "ops/attention_head.h"
#include "ops/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace plumb {

Index attention_scratch(const AttentionShape& s) {
    Index numbers = 7 * s.context * s.head_dim + 2 * kAttentionTile * s.context +
                    (kAttentionTile + 1) * s.head_dim;
    for (const bool bf16 : {false, true})
        if (const HeadPasses* passes = head_passes(s.head_dim, bf16))
            numbers = std::max(numbers, kHeadArrays * head_rows(s.context) * s.head_dim +
                                            2 * head_rows(s.context) + s.head_dim +
                                            passes->scratch(s.context, s.head_dim));
    return (numbers + 15) / 16 * 16;
}

template <class T>
Index attention_gpu_scratch(const AttentionShape& s) {
    if (!std::is_same_v<T, Bf16> || !attention_on_tensor_cores(s)) return 0;
    return delta_room(s.batch * s.heads * s.context) + s.tokens() * s.qk_width() / 2;
}
template Index attention_gpu_scratch<float>(const AttentionShape&);
template Index attention_gpu_scratch<double>(const AttentionShape&);
template Index attention_gpu_scratch<Bf16>(const AttentionShape&);

Shape attention_dgain(const AttentionShape& s, Device device) {
    if (device == Device::cpu) return {{'B', s.batch}, {'H', s.kv_heads}, {'D', 2 * s.head_dim}};
    const Index tiles = (s.context + kLeastAttentionTile - 1) / kLeastAttentionTile;
    return {{'P', s.batch * s.heads * tiles}, {'D', s.head_dim}};
}

template <class Real>
void rope_table(double base, View<Real> cos, View<Real> sin) {
    const Index half = cos.extent(1);
    std::vector<Real> of_cos, of_sin;
    for (Index t = 0; t < cos.extent(0); ++t)
        for (Index i = 0; i < half; ++i) {
            const double angle =
                static_cast<double>(t) *
                std::pow(base, -static_cast<double>(i) / static_cast<double>(half));
            of_cos.push_back(static_cast<Real>(std::cos(angle)));
            of_sin.push_back(static_cast<Real>(std::sin(angle)));
        }
    put(cos, of_cos.data());
    put(sin, of_sin.data());
}

template <class T>
void attention(const Context& ctx, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout) {
    const Timed timed(ctx.profile, Part::attention);
    require(qkv.extent(1) == s.qkv_width() && out.extent(1) == s.out_width() &&
                lse.count() == s.batch * s.heads * s.context,
            "attention: shapes differ");
    dispatch(ctx, "attention", [&](auto device) {
        attention<T>(device, ctx, s, qkv, gain_q, gain_k, eps, out, lse, work, dropout);
    });
}

template <class T>
void attention_backward(const Context& ctx, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout) {
    const Timed timed(ctx.profile, Part::attention);
    require(qkv.extent(1) == s.qkv_width() && dqkv.shape == qkv.shape &&
                out.extent(1) == s.out_width() && dout.shape == out.shape &&
                lse.count() == s.batch * s.heads * s.context,
            "attention_backward: shapes differ");
    dispatch(ctx, "attention_backward", [&](auto device) {
        attention_backward<T>(device, ctx, s, dout, qkv, gain_q, gain_k, eps, out, lse, dqkv,
                              dgain_q, dgain_k, work, dropout);
    });
}

#define PLUMB_INSTANTIATE(T)                                                                      \
    template void attention(const Context&, const AttentionShape&, View<const T>,                 \
                            View<const RealOf<T>>, View<const RealOf<T>>, RealOf<T>, View<T>,     \
                            View<RealOf<T>>, const AttentionWorkspace<RealOf<T>>&,                \
                            const Dropout&);                                                      \
    template void attention_backward(const Context&, const AttentionShape&, View<const T>,        \
                                     View<const T>, View<const RealOf<T>>, View<const RealOf<T>>, \
                                     RealOf<T>, View<const T>, View<const RealOf<T>>, View<T>,    \
                                     View<RealOf<T>>, View<RealOf<T>>,                            \
                                     const AttentionWorkspace<RealOf<T>>&, const Dropout&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template void rope_table(double, View<float>, View<float>);
template void rope_table(double, View<double>, View<double>);

}  // namespace plumb
