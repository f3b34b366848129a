#include "train/divergence.h"

#include "ops/reduce.h"

namespace plumb {

namespace {

// Remembers the first tensor of a pass that holds a NaN or an infinity.
class FiniteCheck final : public Recorder<float> {
public:
    explicit FiniteCheck(const Layout& layout) : layout_(layout) {}

    void tensor(const Context& ctx, Quantity what, int l, View<const float> x) override {
        if (!found.empty() || all_finite<float>(ctx, x)) return;
        const std::string& site = layout_.name(l);
        switch (what) {
            case Quantity::output:
                found = "the output of " + site;
                break;
            case Quantity::stream:
                found = "the residual stream after " + site;
                break;
            case Quantity::read_input:
                found = "the input read by " + site;
                break;
            case Quantity::doutput:
                found = "the gradient at the output of " + site;
                break;
            case Quantity::dread_input:
                found = "the gradient at the input of " + site;
                break;
        }
    }
    std::string found;

private:
    const Layout& layout_;
};

}  // namespace

std::string first_bad_tensor(const Context& ctx, Model<float>& model) {
    ParamStore<float>& params = model.params();
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        if (!all_finite<float>(ctx, params.value({i})))
            return params.specs()[static_cast<std::size_t>(i)].name;
    model.forward(ctx);
    if (const int l = model.overflowed_read(); l > 0)
        return fmt::format("the mean square of what {} reads, which overflows in its norm",
                           model.layout().name(l));
    FiniteCheck check(model.layout());
    model.forward(ctx, &check);
    if (check.found.empty() && !all_finite<float>(ctx, model.token_losses()))
        return "logits, or the loss of a token";
    params.zero_grad();
    model.backward(ctx, 1.0f, &check);
    if (!check.found.empty()) return check.found;
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        if (!all_finite<float>(ctx, params.grad({i})))
            return "the gradient of " + params.specs()[static_cast<std::size_t>(i)].name;
    return "";
}

std::string divergence_advice(const TrainConfig& train, long step, bool finite) {
    const std::string limit =
        finite ? fmt::format(", or a larger train.divergence_limit (it is {}; 0 is none)",
                             train.divergence_limit)
               : "";
    if (step == 0)
        return "No step was made yet, so the learning rate is not the cause. Try a smaller "
               "model.init_std" +
               limit;
    const double own = train.options.number("muon_lr");
    return fmt::format("Try a smaller train.lr (it is {}){}, more train.warmup (it is {}){}{}",
                       train.lr, own > 0 ? fmt::format(" or train.muon_lr (it is {})", own) : "",
                       train.warmup, train.clip == 0 || train.clip > 1 ? ", train.clip=1" : "",
                       limit);
}

}  // namespace plumb
