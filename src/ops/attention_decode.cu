#include "ops/attention_decode.h"

#include "core/gpu_stream.h"
#include "ops/attention_decode.cuh"

namespace plumb {

template <class T>
void attention_decode(Cuda, const Context&, const AttentionShape& s, const DecodeRows& rows,
                      View<T> qkv, View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                      RealOf<T> eps, const KeyValueCache<T>& cache,
                      const DecodeWorkspace<RealOf<T>>& work, View<T> out) {
    gpu::attention_decode<T>(
        gpu::stream(),
        {s.batch, s.context, rows.first, rows.count, rows.stride, static_cast<int>(s.heads),
         static_cast<int>(s.kv_heads), static_cast<int>(s.head_dim), cache_positions(s.context),
         qkv.data, gain_q.data, gain_k.data, eps, work.cos.data, work.sin.data, cache.keys.data,
         cache.values.data},
        out.data);
}

template void attention_decode(Cuda, const Context&, const AttentionShape&, const DecodeRows&,
                               View<float>, View<const float>, View<const float>, float,
                               const KeyValueCache<float>&, const DecodeWorkspace<float>&,
                               View<float>);
template void attention_decode(Cuda, const Context&, const AttentionShape&, const DecodeRows&,
                               View<double>, View<const double>, View<const double>, double,
                               const KeyValueCache<double>&, const DecodeWorkspace<double>&,
                               View<double>);

}  // namespace plumb
