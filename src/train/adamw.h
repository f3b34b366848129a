// AdamW (ops/adamw.h) of all parameters, or of some beside another optimizer. It keeps two moments
// of each: m.NAME and v.NAME.
#pragma once

#include "train/optimizer.h"

#include <functional>

namespace plumb {

// Those parameters that `takes` says.
class AdamWPart {
public:
    AdamWPart(const OptimizerSetup& setup, OptimizerState& state,
              const std::function<bool(const ParamSpec&)>& takes);

    void step(const Context& ctx, ParamStore<float>& params, OptimizerState& state,
              const OptimizerStep& s) const;

private:
    // Parameters that lie one after another are updated in one call.
    struct Run {
        Index begin, end;                 // in the flat arrays, with the padding of the last one
        Index m, v;                       // where their moments begin in the state
        std::vector<UpdateRange> ranges;  // counted from `begin`
    };
    std::vector<Run> runs_;
    double beta1_, beta2_, eps_, weight_decay_;
};

std::unique_ptr<Optimizer> make_adamw(const OptimizerSetup& setup);

}  // namespace plumb
