// Decoder: the transformer as a text grows, one position of B sequences at a time. A mixer mixes
// along depth, token by token, so that a new position is one walk of the same mixer with N = B; of
// the positions before it only what a sublayer keeps is left: keys and values (sublayer.h).
//
// The parameters are the Transformer's, by name, shape and initial value: its checkpoints fit.
// Logits are those of the Transformer's forward over the tokens the decoder holds, up to rounding;
// a sequence's have the same bits whatever its neighbours and the threads, and whatever the batch
// unless the mixer multiplies all tokens by a matrix at once (highway with gate=vector, attnres
// with query=input).
//
// Text longer than T: when a token arrives and T positions are held, the oldest T - T/2 tokens are
// dropped and the T/2 left are read again from position 0, so that between T/2 + 1 and T tokens are
// seen, and a token costs one step and two positions of prefill on average.
//
// It computes on the shape's device. The text is the host's: a walk copies the tokens it reads.
#pragma once

#include "model/model.h"
#include "model/sublayers.h"

#include <memory>
#include <vector>

namespace plumb {

template <class T>
class Decoder {
public:
    using Real = RealOf<T>;

    // Declares parameters and tensors. Throws UsageError for impossible extents.
    explicit Decoder(const TransformerShape& shape);
    ~Decoder();
    // As Model::allocate; the values are then the caller's to restore.
    void allocate(std::uint64_t seed);

    // Forgets the text.
    void reset();
    // Appends tokens (B, n) of the host, n >= 0, many positions a walk.
    void prefill(const Context& ctx, View<const std::int32_t> tokens);
    // Appends tokens (B) of the host and returns what follows them: logits (B, V) on the device,
    // valid until the next call.
    View<const Real> step(const Context& ctx, View<const std::int32_t> tokens);
    // Tokens of each sequence that the next step sees beside its own, if nothing is dropped.
    Index held() const { return held_; }

    const ModelConfig& config() const { return model_; }  // resolved
    Index vocab() const { return vocab_; }
    Index batch() const { return batch_; }
    ParamStore<Real>& params() { return params_; }

private:
    class Walk;

    void append(View<const std::int32_t> tokens);
    View<std::int32_t> text();
    void cache_until(const Context& ctx, Index end);

    ModelConfig model_;
    Index vocab_, batch_;
    Plan plan_;
    ParamStore<Real> params_;
    std::unique_ptr<Frame> frame_;
    std::vector<std::int32_t> text_;  // (B, T), the first held_ columns
    Tensor<Real> logits_;             // (B, V)
    std::unique_ptr<DecodeScratch<T>> work_;
    std::vector<SublayerDecoderPtr<T>> sublayers_;  // of both walks
    std::unique_ptr<Walk> step_, prefill_;          // of one position, of many
    Index held_ = 0, cached_ = 0;  // tokens in text_; of these seen by the sublayers
};

}  // namespace plumb
