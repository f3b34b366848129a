#include "cli/generate_command.h"

#include "cli/run_folder.h"
#include "core/rng.h"
#include "experiment/run.h"
#include "train/checkpoint.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kExamples = R"(Examples:
  plumb generate runs/first --prompt "It is a truth universally"
  plumb generate runs/first --prompt "Emma " --tokens 400 --temperature 0.7
  plumb generate runs/khop --prompt "3 7 1 4" --temperature 0
)";

struct Options {
    std::string run, prompt = "\n";
    long tokens = 200;
    double temperature = 0.8;
    long seed = 1;
};

// A model of batch 1 with the parameters of the newest checkpoint.
std::unique_ptr<Transformer<float>> load_model(const std::filesystem::path& run,
                                               const Config& config, const Dataset& data,
                                               int threads) {
    const auto path = newest_checkpoint(run);
    if (!path)
        throw IoError(
            fmt::format("{}: no checkpoint yet; train it to the end, or lower "
                        "train.checkpoint_every",
                        run.string()));
    auto model = std::make_unique<Transformer<float>>(
        TransformerShape{config.model, config.mixer, data.vocab(), 1, threads});
    model->allocate(1);
    std::vector<TensorTarget> targets;
    for (Index i = 0; i < std::ssize(model->params().specs()); ++i)
        targets.push_back(TensorTarget::of(
            model->params().specs()[static_cast<std::size_t>(i)].name, model->params().value({i})));
    restore_tensors(load_checkpoint(*path).model, targets);
    return model;
}

// Samples from softmax(logits / temperature) with the uniform number u; temperature 0: the largest.
std::int32_t sample(const float* logits, Index v, double temperature, double u) {
    const float* largest = std::max_element(logits, logits + v);
    if (temperature <= 0) return static_cast<std::int32_t>(largest - logits);
    double total = 0;
    for (Index i = 0; i < v; ++i)
        total += std::exp((static_cast<double>(logits[i]) - static_cast<double>(*largest)) /
                          temperature);
    double left = u * total;
    for (Index i = 0; i < v; ++i) {
        left -= std::exp((static_cast<double>(logits[i]) - static_cast<double>(*largest)) /
                         temperature);
        if (left <= 0) return static_cast<std::int32_t>(i);
    }
    return static_cast<std::int32_t>(v - 1);
}

// One token more than `text`, whose last T tokens are what the model sees.
std::int32_t next_token(Transformer<float>& model, const Context& ctx,
                        const std::vector<std::int32_t>& text, double temperature, double u) {
    const auto context = static_cast<std::size_t>(model.config().context);
    const std::size_t seen = std::min(context, text.size());
    std::fill_n(model.tokens().data, context, 0);  // later positions cannot reach back
    std::copy(text.end() - static_cast<std::ptrdiff_t>(seen), text.end(), model.tokens().data);
    std::fill_n(model.targets().data, context, -1);
    model.forward(ctx);
    return sample(model.logits().row(static_cast<Index>(seen) - 1), model.vocab(), temperature, u);
}

void generate(const Options& o) {
    require_run(o.run, "generate");
    if (o.tokens < 1) throw UsageError("--tokens: must be at least 1");
    if (!(o.temperature >= 0)) throw UsageError("--temperature: must not be negative");
    const Config config = load_config(std::filesystem::path(o.run) / "config.toml", {}).config;
    const auto data = open_dataset(config.data, config.model.resolved().context);
    const Context ctx{Device::cpu, omp_get_num_procs()};
    set_up_threads(ctx);
    const auto model = load_model(o.run, config, *data, ctx.threads);
    std::vector<std::int32_t> text = data->encode(o.prompt);
    if (text.empty()) throw UsageError("--prompt is empty; give at least one character");
    const CounterRng rng(static_cast<std::uint64_t>(o.seed), "generate");
    const bool is_text = data->bytes_per_token() > 0;
    std::printf("%s%s", o.prompt.c_str(), is_text ? "" : " |");
    for (long i = 0; i < o.tokens; ++i) {
        text.push_back(next_token(*model, ctx, text, o.temperature,
                                  rng.uniform(static_cast<std::uint64_t>(i))));
        const std::string piece = data->decode(std::span(text).last(1));
        std::printf("%s%s", is_text ? "" : " ", piece.c_str());
        std::fflush(stdout);
    }
    std::printf("\n");
}

}  // namespace

void add_generate_command(CLI::App& app) {
    auto o = std::make_shared<Options>();
    CLI::App* cmd = app.add_subcommand("generate", "continue a text with a trained run");
    cmd->add_option("run", o->run, "folder of a run")->required();
    cmd->add_option("--prompt", o->prompt, "text to continue (tasks: numbers separated by blanks)");
    cmd->add_option("--tokens", o->tokens, "how many tokens to add");
    cmd->add_option("--temperature", o->temperature, "0 takes the likeliest token");
    cmd->add_option("--seed", o->seed, "of the sampling");
    cmd->footer(kExamples);
    cmd->callback([o] { generate(*o); });
}

}  // namespace plumb
