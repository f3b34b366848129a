#include "ops/attention.h"

#include "core/gpu_stream.h"
#include "ops/attention_mma_launch.cuh"

namespace plumb {
namespace {

template <class T>
gpu::AttentionArgs<T> arguments(const AttentionShape& s, View<const T> qkv,
                                View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k,
                                RealOf<T> eps, const AttentionWorkspace<RealOf<T>>& work,
                                const Dropout& dropout) {
    const int dim = static_cast<int>(s.head_dim);
    if (!gpu::head_fits<RealOf<T>>(dim))
        throw UsageError(
            fmt::format("model.head_dim={}: attention on this GPU has no room for it in numbers of "
                        "{} bytes; take more model.heads, of less each, or --device cpu",
                        dim, sizeof(RealOf<T>)));
    return {s.batch,
            s.context,
            static_cast<int>(s.heads),
            static_cast<int>(s.kv_heads),
            dim,
            qkv.data,
            gain_q.data,
            gain_k.data,
            eps,
            work.cos.data,
            work.sin.data,
            gpu::dropout_args(dropout)};
}

// Whether tensor cores run it; their scratch is then there.
template <class T>
bool on_tensor_cores(const AttentionShape& s, const AttentionWorkspace<RealOf<T>>& work) {
    if (attention_gpu_scratch<T>(s) == 0) return false;
    require(work.scratch.count() >= attention_gpu_scratch<T>(s), "attention: no room for scratch");
    return true;
}

}  // namespace

template <class T>
void attention(Cuda, const Context&, const AttentionShape& s, View<const T> qkv,
               View<const RealOf<T>> gain_q, View<const RealOf<T>> gain_k, RealOf<T> eps,
               View<T> out, View<RealOf<T>> lse, const AttentionWorkspace<RealOf<T>>& work,
               const Dropout& dropout) {
    const auto args = arguments<T>(s, qkv, gain_q, gain_k, eps, work, dropout);
    if constexpr (std::is_same_v<T, Bf16>)
        if (on_tensor_cores<T>(s, work))
            return gpu::attention_mma(gpu::stream(), args, work.scratch.data, out.data, lse.data);
    gpu::attention(gpu::stream(), args, out.data, lse.data);
}

template <class T>
void attention_backward(Cuda, const Context&, const AttentionShape& s, View<const T> dout,
                        View<const T> qkv, View<const RealOf<T>> gain_q,
                        View<const RealOf<T>> gain_k, RealOf<T> eps, View<const T> out,
                        View<const RealOf<T>> lse, View<T> dqkv, View<RealOf<T>> dgain_q,
                        View<RealOf<T>> dgain_k, const AttentionWorkspace<RealOf<T>>& work,
                        const Dropout& dropout) {
    const auto args = arguments<T>(s, qkv, gain_q, gain_k, eps, work, dropout);
    require(!gain_q || work.dgain.shape == attention_dgain(s, Device::cuda),
            "attention: no room for dgain");
    const gpu::AttentionGradients<T> g{dout.data, out.data, lse.data, dqkv.data,
                                       gain_q ? work.dgain.data : nullptr};
    if constexpr (std::is_same_v<T, Bf16>)
        if (on_tensor_cores<T>(s, work))
            return gpu::attention_mma_backward(gpu::stream(), args, g, work.scratch.data,
                                               dgain_q.data, dgain_k.data);
    gpu::attention_backward(gpu::stream(), args, g, dgain_q.data, dgain_k.data);
}

#define PLUMB_INSTANTIATE(T)                                                                      \
    template void attention(Cuda, const Context&, const AttentionShape&, View<const T>,           \
                            View<const RealOf<T>>, View<const RealOf<T>>, RealOf<T>, View<T>,     \
                            View<RealOf<T>>, const AttentionWorkspace<RealOf<T>>&,                \
                            const Dropout&);                                                      \
    template void attention_backward(Cuda, const Context&, const AttentionShape&, View<const T>,  \
                                     View<const T>, View<const RealOf<T>>, View<const RealOf<T>>, \
                                     RealOf<T>, View<const T>, View<const RealOf<T>>, View<T>,    \
                                     View<RealOf<T>>, View<RealOf<T>>,                            \
                                     const AttentionWorkspace<RealOf<T>>&, const Dropout&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
