#include "ops/attention_decode.h"

namespace plumb {

template <class T>
void attention_decode(const Context& ctx, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out) {
    const Timed timed(ctx.profile, Part::attention);
    const Index d = s.head_dim, room = cache_positions(s.context);
    require(qkv.extent(1) == s.qkv_width() && out.extent(1) == s.out_width() &&
                qkv.extent(0) == s.batch * rows.stride && out.extent(0) == qkv.extent(0) &&
                rows.count <= rows.stride && rows.first + rows.count <= s.context &&
                cache.keys.count() == s.batch * s.kv_heads * d * room &&
                cache.values.count() == s.batch * s.kv_heads * s.context * d,
            "attention_decode: shapes differ");
    dispatch(ctx, "attention_decode", [&](auto device) {
        attention_decode<T>(device, ctx, s, rows, qkv, gain_q, gain_k, eps, cache, work, out);
    });
}

template void attention_decode(const Context&, const AttentionShape&, const DecodeRows&,
                               View<float>, View<const float>, View<const float>, float,
                               const KeyValueCache<float>&, const DecodeWorkspace<float>&,
                               View<float>);
template void attention_decode(const Context&, const AttentionShape&, const DecodeRows&,
                               View<double>, View<const double>, View<const double>, double,
                               const KeyValueCache<double>&, const DecodeWorkspace<double>&,
                               View<double>);

}  // namespace plumb
