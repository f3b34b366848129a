#include "bench/bench_gemm.h"

#include "model/sublayers.h"
#include "ops/gemm_rate.h"

#include <algorithm>

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
    std::vector<GemmTime> out;
    for (const SublayerInfo& info : sublayers())
        if (const auto each = std::count(m.pattern.begin(), m.pattern.end(), info.name))
            for (const MatrixProduct& p : info.costs(m).products)
                out.push_back({p.name, tokens, p.out, p.in, m.layers * each, 0, 0, 0});
    out.push_back({"head", tokens, vocab, m.width, 1, 0, 0, 0});
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
