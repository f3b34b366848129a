// What a run needs: data, model, trainer, and the rate its products could reach.
#include "ops/gemm_rate.h"
#include "run/run.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace plumb {
namespace {

// PLUMB_GEMM_RATE, in FLOP/s: what `plumb sweep` knows from an earlier run of this shape on these
// cores, so that not every start measures it again. 0: not set, or no rate.
double known_gemm_rate() {
    const char* value = std::getenv(kGemmRateVariable);
    if (!value) return 0;
    const std::string_view text(value);
    double rate = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && rate > 0 && rate < 1e18 ? rate : 0;
}

}  // namespace

double training_gemm_rate(const Context& ctx, const Config& config, double seconds) {
    if (const double known = known_gemm_rate(); known > 0) return known;
    const ModelConfig m = config.model.resolved();
    const Index n = config.train.batch * m.context;
    return config.train.precision == "bf16"
               ? measure_gemm_rate<Bf16>(ctx, n, 4 * m.width, m.width, seconds)
               : measure_gemm_rate(ctx, n, 4 * m.width, m.width, seconds);
}

RunPlan plan_run(const Config& config, const Context& context) {
    require_data(config);
    RunPlan plan;
    plan.data = open_dataset(config.data, config.model.resolved().context);
    plan.trainer = std::make_unique<Trainer>(
        TransformerShape{config.model, config.mixer, plan.data->vocab(), config.train.batch,
                         context.threads, 0, context.device},
        config.train, *plan.data);
    const Model<float>& model = plan.trainer->model();
    plan.params = model.params().n_params();
    plan.mixer_params = model.params().n_params(Group::mixer);
    plan.flops_per_token =
        train_flops_per_token(model.config(), plan.data->vocab(), plan.mixer_params) +
        plan.trainer->optimizer().flops() / static_cast<double>(plan.trainer->tokens_per_step());
    return plan;
}

}  // namespace plumb
