// The [model] table of a config, and those of the sublayers, [attn], ..: options that stand beside
// them in their rows (sublayers.h).
#pragma once

#include "core/options.h"
#include "mixers/layout.h"

namespace plumb {

// Bounds of the extents. Products of them that no machine can hold are refused where tensors are
// declared (core/plan.h, core/params.h).
inline constexpr double kMostLayers = 10000, kMostChannels = 1 << 20, kMostTokens = 1 << 24;

struct ModelConfig {
    long layers = 4;
    Words pattern{"attn", "mlp"};
    long width = 128;
    long heads = 4;
    long kv_heads = 0;
    long head_dim = 0;
    std::string mlp = "swiglu";
    long mlp_hidden = 0;
    long context = 128;
    bool tied_head = true;
    bool qk_norm = false;
    double rope_base = 10000.0;
    double norm_eps = 1e-10;
    double init_std = 0.02;
    bool scale_output_init = true;
    double dropout = 0.0;
    std::vector<OptionValues> tables = sublayer_tables();  // of sublayers(), in their order

    template <class V>
    void visit(V& v) {
        v("layers", layers,
          "number of transformer blocks; each is the sublayers of model.pattern, an attention and "
          "an MLP if nothing else is said",
          within(1, kMostLayers));
        v("pattern", pattern,
          "kinds of the sublayers of a transformer block, in order: attn,mlp or attn,attn,mlp or "
          "mlp; every block has the same",
          Field(sublayer_kinds()).rows_of("sublayers"));
        v("width", width, "channels C of the residual stream, the size of a token's vector",
          within(1, kMostChannels));
        v("heads", heads, "query heads of each attention", within(1, kMostChannels));
        v("kv_heads", kv_heads,
          "key and value heads, shared among the query heads (0: as many as heads)",
          within(0, kMostChannels));
        v("head_dim", head_dim, "channels per head, an even number (0: width / heads)",
          within(0, kMostChannels));
        v("mlp", mlp, "kind of MLP: gated (swiglu) or plain (gelu)", Choices{"swiglu", "gelu"});
        v("mlp_hidden", mlp_hidden,
          "channels inside an MLP (0: 8/3 width, up to a multiple of 8; gelu: 4 width)",
          within(0, kMostChannels));
        v("context", context, "tokens T that a sequence has, and that attention can look back on",
          within(1, kMostTokens));
        v("tied_head", tied_head, "whether the output head is the embedding's own matrix");
        v("qk_norm", qk_norm, "whether each query and key head goes through an RMSNorm");
        v("rope_base", rope_base,
          "base of the rotary position embedding; a longer context wants a larger one",
          Range{.low = 1, .high = 1e30, .open_low = true});
        v("norm_eps", norm_eps,
          "added to the mean square in every norm; a large one damps streams of small scale",
          from_to_below(0, 1));
        v("init_std", init_std, "standard deviation of the initial weights", within(1e-12, 1e3));
        v("scale_output_init", scale_output_init,
          "whether the output projections of attention and MLP start 1/sqrt(L) smaller, L the "
          "number of sublayers (2 layers by default)");
        v("dropout", dropout,
          "share of values set to zero in training: embedding, attention weights, sublayer outputs",
          within(0, 0.99));
    }

    const OptionValues& of(const std::string& kind) const;  // of a sublayer
    // The zeros above resolved, and every extent checked. Throws UsageError naming the key.
    ModelConfig resolved() const;
    // What is where: `pattern` in each of `layers` blocks.
    Layout layout() const { return {pattern, static_cast<int>(layers)}; }
    long sublayers() const { return layers * std::ssize(pattern); }
    bool has(const std::string& kind) const {
        return std::find(pattern.begin(), pattern.end(), kind) != pattern.end();
    }

private:
    static const Choices& sublayer_kinds();  // of sublayers()
    static std::vector<OptionValues> sublayer_tables();
};

}  // namespace plumb
