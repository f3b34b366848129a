#include "bench/bench_gemm.h"

#include "ops/gemm_rate.h"

namespace plumb {
namespace {

template <class T>
void measure(const Context& ctx, GemmTime& g, int repeats) {
    g.forward = gemm_seconds<T>(ctx, LinearCall::forward, g.tokens, g.out, g.in, repeats);
    g.dx = gemm_seconds<T>(ctx, LinearCall::dx, g.tokens, g.out, g.in, repeats);
    g.dw = gemm_seconds<T>(ctx, LinearCall::dw, g.tokens, g.out, g.in, repeats);
}

}  // namespace

std::vector<GemmTime> measure_gemms(const Context& ctx, const ModelConfig& m, Index vocab,
                                    Index tokens, const std::string& precision, int repeats) {
    const Index heads = m.heads * m.head_dim, qkv = (m.heads + 2 * m.kv_heads) * m.head_dim;
    const Index up = (m.mlp == "swiglu" ? 2 : 1) * m.mlp_hidden;
    std::vector<GemmTime> out{{"qkv", tokens, qkv, m.width, m.layers, 0, 0, 0},
                              {"out", tokens, m.width, heads, m.layers, 0, 0, 0},
                              {"up", tokens, up, m.width, m.layers, 0, 0, 0},
                              {"down", tokens, m.width, m.mlp_hidden, m.layers, 0, 0, 0},
                              {"head", tokens, vocab, m.width, 1, 0, 0, 0}};
    for (GemmTime& g : out)
        if (precision == "bf16")
            measure<Bf16>(ctx, g, repeats);
        else
            measure<float>(ctx, g, repeats);
    return out;
}

double gemm_rate(const std::vector<GemmTime>& times) {
    double flops = 0, seconds = 0;
    for (const GemmTime& g : times) {
        flops += static_cast<double>(g.count) * 3 * g.flops();
        seconds += static_cast<double>(g.count) * (g.forward + g.dx + g.dw);
    }
    return flops / seconds;
}

}  // namespace plumb
