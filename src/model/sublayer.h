// Sublayers: the F_l of v_l = F_l(norm(h_l)), over a batch of sequences with its backward, and as a
// text grows. Which there are: sublayers.h. Constructors declare.
#pragma once

#include "core/context.h"
#include "mixers/depth_mixer.h"
#include "model/model_config.h"
#include "ops/attention_decode.h"
#include "ops/dropout.h"

#include <array>
#include <optional>
#include <string>

namespace plumb {

struct SublayerShape {
    ModelConfig model;  // resolved
    Index batch;        // B; T is model.context
    int threads;        // upper bound, for per-thread scratch
    int ways = 1;       // inputs of an attention
    Index tokens() const { return batch * model.context; }
};

// Which masks dropout draws: those of forward pass number `pass` (micro-batches counted) of a run
// with this seed.
struct DropoutKey {
    std::uint64_t seed, pass;
};

// Of attn.value_residual, in a pass: the projection whose values are the first, and whether a
// gradient of them was left. The first attention that runs has them, wherever it stands.
template <class T>
struct FirstValues {
    const Tensor<T>* qkv = nullptr;
    bool has_gradient = false;
};

// What sublayers share beside the scratch that each declares (Plan::shared_scratch): what of a pass
// they have in common, and the tables of positions.
template <class T>
struct Workspace {
    using Real = RealOf<T>;

    Workspace(const SublayerShape& shape, Plan& plan);
    // Fills the tables of a new frame.
    void prepare(const Frame& frame) const;
    // Before the first sublayer of a forward.
    void begin_pass(const Context& ctx, const std::optional<DropoutKey>& of_pass) const {
        ctx(key) = of_pass;
        ctx(first) = {};
    }
    // Nothing is dropped in a pass without a key.
    Dropout dropout(const Context& ctx, std::string_view site) const;
    // dv (N, C) in front of the mask that v got at this site; valid until the next call.
    View<const T> before_mask(const Context& ctx, std::string_view site, View<const T> dv) const;

    Tensor<Real> cos, sin;  // (T, D/2) of positions, ops/attention.h
    Tensor<T> dv;           // (N, C): dv behind a mask; none without dropout
    FrameState<std::optional<DropoutKey>> key;
    FrameState<FirstValues<T>> first;

private:
    SublayerShape shape_;
};

// What all sublayers of a decoder share beside the scratch that each declares
// (Plan::shared_scratch), for up to `rows` rows.
template <class T>
struct DecodeScratch {
    using Real = RealOf<T>;

    DecodeScratch(const SublayerShape& shape, Index rows, Plan& plan);
    // Fills the tables of a new frame.
    void prepare(const Frame& frame) const;
    // x (rows, width), declared as what all that say this name share.
    Tensor<T> shared(Plan& plan, const std::string& name, Index width) const {
        return plan.shared_scratch<T>(name, {{'N', rows}, {'C', width}});
    }
    // The first `rows` rows of such a tensor.
    static View<T> first(const Context& ctx, const Tensor<T>& of, Index rows) {
        View<T> x = ctx(of);
        x.shape = {{'N', rows}, {'C', x.extent(1)}};
        return x;
    }

    Index rows;
    Tensor<Real> cos, sin;  // (T, D/2)

private:
    ModelConfig model_;
};

// Normed inputs (N, C) of a sublayer: the first alone, or those that queries, keys and values are
// made from.
template <class T>
using Inputs = std::array<View<T>, kMostWays>;

template <class T>
class Sublayer {
public:
    using Real = RealOf<T>;

    virtual ~Sublayer() = default;
    // Before a forward whose parameters may have changed.
    virtual void prepare(const Context& ctx) = 0;
    // x -> v (N, C), overwritten.
    virtual void forward(const Context& ctx, const Inputs<const T>& x, View<T> v) = 0;
    // dv and the same x -> dx, overwritten; parameter gradients +=. A GPU may still read x and the
    // sublayer's scratch for one of these, and write it, until gpu::join().
    virtual void backward(const Context& ctx, View<const T> dv, const Inputs<const T>& x,
                          const Inputs<T>& dx) = 0;
    // Parameters whose gradients a probe at this depth looks at.
    virtual std::vector<ParamId> weights() const = 0;
};

// The same F_l with the same parameters as a text grows, for any number of rows up to those of its
// scratch.
template <class T>
class SublayerDecoder {
public:
    virtual ~SublayerDecoder() = default;
    // x -> v (B stride, C), overwritten, of the positions that `rows` says, which follow those of
    // the calls before; what later positions need of them is kept.
    virtual void decode(const Context& ctx, const DecodeRows& rows, const Inputs<const T>& x,
                        View<T> v) = 0;
};

}  // namespace plumb
