#include "train/adamw.h"

namespace plumb {
namespace {

class AdamW final : public Optimizer {
public:
    explicit AdamW(const OptimizerSetup& setup)
        : Optimizer(setup.device), all_(setup, state_, [](const ParamSpec&) { return true; }) {}

    void step(const Context& ctx, ParamStore<float>& params, const OptimizerStep& s) override {
        all_.step(ctx, params, state_, s);
    }

private:
    AdamWPart all_;
};

}  // namespace

AdamWPart::AdamWPart(const OptimizerSetup& setup, OptimizerState& state,
                     const std::function<bool(const ParamSpec&)>& takes)
    : beta1_(setup.train.beta1),
      beta2_(setup.train.beta2),
      eps_(setup.train.adam_eps),
      weight_decay_(setup.train.weight_decay) {
    std::vector<const ParamSpec*> mine;
    for (std::size_t i = 0; i < setup.params.size(); ++i) {
        const ParamSpec& s = setup.params[i];
        if (!takes(s)) continue;
        mine.push_back(&s);
        const Index m = state.declare("m", s);
        if (runs_.empty() || runs_.back().end != s.offset)
            runs_.push_back({s.offset, s.offset, m, 0, {}});
        Run& run = runs_.back();
        run.end = s.offset + padded_count<float>(s.shape.count());
        run.ranges.push_back(setup.ranges[i]);
        run.ranges.back().end -= run.begin;
    }
    auto run = runs_.begin();
    for (const ParamSpec* s : mine) {  // all second moments follow all first ones
        const Index v = state.declare("v", *s, true);
        if (run != runs_.end() && run->begin == s->offset) run++->v = v;
    }
}

void AdamWPart::step(const Context& ctx, ParamStore<float>& params, OptimizerState& state,
                     const OptimizerStep& s) const {
    const AdamWStep step{s.lr, beta1_, beta2_, eps_, weight_decay_, s.grad_scale, s.step};
    for (const Run& run : runs_) {
        const Shape part{{'P', run.end - run.begin}};
        const auto of = [&](const View<float>& flat) {
            return View<float>{flat.data + run.begin, part, flat.device};
        };
        adamw<float>(ctx, step, of(params.flat_values()), of(params.flat_grads()),
                     state.view(run.m, part), state.view(run.v, part), run.ranges);
    }
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerSetup& setup) {
    return std::make_unique<AdamW>(setup);
}

}  // namespace plumb
