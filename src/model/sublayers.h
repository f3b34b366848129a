// The table of the sublayers (sublayers.cpp): what stands in a transformer block, by the kind that
// the layout (mixers/layout.h) gives it. One more: its class and its decoder in a file of its own,
// a row, and test settings, which gradients, oracle and decoder are tested with.
#pragma once

#include "model/sublayer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace plumb {

template <class T>
using SublayerPtr = std::unique_ptr<Sublayer<T>>;
template <class T>
using SublayerDecoderPtr = std::unique_ptr<SublayerDecoder<T>>;

// prefix: "layer.3.mlp".
struct SublayerMakers {
    template <class T>
    using Make = std::function<SublayerPtr<T>(const std::string& prefix, const SublayerShape&,
                                              const Workspace<T>&, Plan&, ParamStore<RealOf<T>>&)>;
    template <class T>
    using MakeDecoder =
        std::function<SublayerDecoderPtr<T>(const std::string& prefix, const SublayerShape&,
                                            const DecodeScratch<T>&, Plan&, ParamStore<T>&)>;

    Make<float> in_float;
    Make<double> in_double;
    Make<Bf16> in_bf16;
    MakeDecoder<float> decoder_in_float;
    MakeDecoder<double> decoder_in_double;
};

// x W^T with W (out, in): the parameter `name`.weight. 2 out in flops a token forward, 4 backward.
struct MatrixProduct {
    std::string name;  // qkv
    Index out, in;
    double weights() const { return static_cast<double>(out * in); }
};

// Of one sublayer.
struct SublayerCosts {
    std::vector<MatrixProduct> products;
    double further;  // flops of a training step beside them, per token
    double state;    // numbers that decoding keeps, per position
};

struct SublayerInfo {
    std::string name;                   // its kind in a layout and in names: layer.3.attn
    std::string title;                  // in text
    std::string paper;                  // who defined it, and where
    std::string definition;             // one line
    std::vector<std::string> settings;  // keys of [model] that only it reads
    std::vector<Option> options;        // of the table of its name: attn.rope
    // Overrides that the contract, oracle and decoder tests loop over, of models that have it.
    std::vector<std::vector<std::string>> test_settings;
    SublayerCosts (*costs)(const ModelConfig& resolved);
    SublayerMakers make;
};

const std::vector<SublayerInfo>& sublayers();

// Throws UsageError naming the nearest kind.
const SublayerInfo& find_sublayer(const std::string& kind);

// T is float, double or Bf16.
template <class T>
SublayerPtr<T> make_sublayer(const std::string& kind, const std::string& prefix,
                             const SublayerShape& shape, const Workspace<T>& work, Plan& plan,
                             ParamStore<RealOf<T>>& params);
// T is float or double.
template <class T>
SublayerDecoderPtr<T> make_sublayer_decoder(const std::string& kind, const std::string& prefix,
                                            const SublayerShape& shape,
                                            const DecodeScratch<T>& work, Plan& plan,
                                            ParamStore<T>& params);

// Of classes that are made from what SublayerMakers take.
template <template <class T> class S, template <class T> class D>
SublayerMakers sublayer_makers() {
    const auto make = [](auto type) {
        using T = decltype(type);
        return [](const std::string& prefix, const SublayerShape& shape, const Workspace<T>& work,
                  Plan& plan, ParamStore<RealOf<T>>& params) -> SublayerPtr<T> {
            return std::make_unique<S<T>>(prefix, shape, work, plan, params);
        };
    };
    const auto decoder = [](auto type) {
        using T = decltype(type);
        return
            [](const std::string& prefix, const SublayerShape& shape, const DecodeScratch<T>& work,
               Plan& plan, ParamStore<T>& params) -> SublayerDecoderPtr<T> {
                return std::make_unique<D<T>>(prefix, shape, work, plan, params);
            };
    };
    return {make(float()), make(double()), make(Bf16()), decoder(float()), decoder(double())};
}

SublayerInfo attention_sublayer();
SublayerInfo mlp_sublayer();

}  // namespace plumb
