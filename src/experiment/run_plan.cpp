// What a run needs: data, model, trainer, and the rate its products could reach.
#include "experiment/run.h"
#include "ops/gemm_rate.h"

namespace plumb {

double training_gemm_rate(const Context& ctx, const Config& config, double seconds) {
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
    plan.trainer =
        std::make_unique<Trainer>(TransformerShape{config.model, config.mixer, plan.data->vocab(),
                                                   config.train.batch, context.threads},
                                  config.train, *plan.data);
    const Model<float>& model = plan.trainer->model();
    plan.params = model.params().n_params();
    plan.mixer_params = model.params().n_params(Group::mixer);
    plan.flops_per_token =
        train_flops_per_token(model.config(), plan.data->vocab(), plan.mixer_params);
    return plan;
}

}  // namespace plumb
