// Sublayers: the F_l of v_l = F_l(norm(h_l)). Kinds are open: a new one is a class here, a row in
// make_sublayer and a place in the pattern of transformer.cpp.
#pragma once

#include "core/arena.h"
#include "core/context.h"
#include "core/params.h"
#include "model/model_config.h"
#include "ops/attention.h"
#include "ops/dropout.h"

#include <memory>
#include <optional>
#include <string>

namespace plumb {

struct SublayerShape {
    ModelConfig model;  // resolved
    Index batch;        // B; T is model.context
    int threads;        // upper bound, for per-thread scratch
    Index tokens() const { return batch * model.context; }
};

// Which masks dropout draws: those of forward pass number `pass` (micro-batches counted) of a run
// with this seed.
struct DropoutKey {
    std::uint64_t seed, pass;
};

// Scratch all sublayers share, declared once by the transformer, and the dropout of the pass.
template <class T>
struct Workspace {
    using Real = RealOf<T>;

    explicit Workspace(const SublayerShape& shape) : shape_(shape) {}
    void declare(Plan& plan);
    void bind(const Arena& arena);
    // Nothing is dropped in a pass without a key.
    Dropout dropout(std::string_view site) const;

    AttentionWorkspace<Real> attention;
    View<T> dqkv, dattention;  // (N, (H+2Hkv)D), (N, H D)
    View<T> act, dact, dup;    // (N, F), (N, F), (N, 2F or F)
    View<T> dv;                // (N, C): dv behind a mask; empty without dropout
    std::optional<DropoutKey> key;

private:
    SublayerShape shape_;
    TensorId cos_, sin_, heads_, dgain_, dqkv_, dattention_, act_, dact_, dup_, dv_;
};

template <class T>
class Sublayer {
public:
    using Real = RealOf<T>;

    virtual ~Sublayer() = default;
    virtual void declare(Plan& plan, ParamStore<Real>& params) = 0;
    virtual void bind(const Arena& arena, ParamStore<Real>& params) = 0;
    // Before a forward whose parameters may have changed.
    virtual void prepare(const Context& ctx) = 0;
    // x (N, C) normed input -> v (N, C), overwritten.
    virtual void forward(const Context& ctx, View<const T> x, View<T> v) = 0;
    // dv and the same x -> dx (N, C), overwritten; parameter gradients +=.
    virtual void backward(const Context& ctx, View<const T> dv, View<const T> x, View<T> dx) = 0;
    // Parameters whose gradients a probe at this depth looks at.
    virtual std::vector<ParamId> weights() const = 0;
};

// kind: "attn" or "mlp"; prefix: "layer.3.mlp".
template <class T>
std::unique_ptr<Sublayer<T>> make_sublayer(const std::string& kind, const std::string& prefix,
                                           const SublayerShape& shape, Workspace<T>& work);

}  // namespace plumb
