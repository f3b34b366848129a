#include "cli/generate_command.h"

#include "cli/run_folder.h"
#include "core/rng.h"
#include "experiment/run.h"
#include "model/decoder.h"
#include "train/checkpoint.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kFooter = R"(Examples:
  plumb generate runs/first --prompt "It is a truth universally"
  plumb generate runs/first --prompt "Emma " --tokens 400 --temperature 0.7 --top-k 40
  plumb generate runs/first --prompt "Emma " --samples 16
  plumb generate runs/khop --prompt "3 7 1 4" --temperature 0

Sample i of a seed is the same text whatever --samples is (but for rounding where the mixer is
highway with gate=vector); several are divided by lines of "---".
The model sees model.context tokens. When they are full it goes on with the newer half of them, so
that later tokens are chosen from between one half and all of the context.
Times are printed to stderr.
)";

using Clock = std::chrono::steady_clock;
using Tokens = std::vector<std::int32_t>;

struct Options {
    std::string run, prompt = "\n";
    long tokens = 200, top_k = 0, samples = 1, seed = 1;
    double temperature = 0.8;
};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const Options& o) {
    if (o.tokens < 1) throw UsageError("--tokens: must be at least 1");
    if (!(o.temperature >= 0)) throw UsageError("--temperature: must not be negative");
    if (o.top_k < 0) throw UsageError("--top-k: must not be negative; 0 keeps every token");
    if (o.samples < 1) throw UsageError("--samples: must be at least 1");
}

// Has the parameters of the newest checkpoint.
std::unique_ptr<Decoder<float>> load_decoder(const std::filesystem::path& run,
                                             const TransformerShape& shape) {
    const auto path = newest_checkpoint(run);
    if (!path)
        throw IoError(
            fmt::format("{}: no checkpoint yet; train it to the end, or lower "
                        "train.checkpoint_every",
                        run.string()));
    auto decoder = std::make_unique<Decoder<float>>(shape);
    decoder->allocate(1);
    ParamStore<float>& params = decoder->params();
    std::vector<TensorTarget> targets;
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        targets.push_back(TensorTarget::of(params.specs()[static_cast<std::size_t>(i)].name,
                                           params.value({i})));
    restore_tensors(load_checkpoint(*path).model, targets);
    return decoder;
}

// Draws from softmax(logits / temperature) over the top_k largest (0: all; those equal to the last
// of them too) with the uniform number u; temperature 0: the largest. weights: scratch.
std::int32_t sample(const float* logits, Index v, const Options& o, double u,
                    std::vector<double>& weights) {
    const float* largest = std::max_element(logits, logits + v);
    if (o.temperature <= 0) return static_cast<std::int32_t>(largest - logits);
    weights.assign(logits, logits + v);
    double least = -std::numeric_limits<double>::infinity();
    if (o.top_k > 0 && o.top_k < v) {
        std::nth_element(weights.begin(), weights.begin() + o.top_k - 1, weights.end(),
                         std::greater<>());
        least = weights[static_cast<std::size_t>(o.top_k - 1)];
        weights.assign(logits, logits + v);
    }
    double total = 0;
    for (double& w : weights) {
        w = w < least ? 0 : std::exp((w - static_cast<double>(*largest)) / o.temperature);
        total += w;
    }
    double left = u * total;
    Index last = largest - logits;
    for (Index i = 0; i < v; ++i) {
        const double w = weights[static_cast<std::size_t>(i)];
        if (w <= 0) continue;
        last = i;
        left -= w;
        if (left <= 0) break;
    }
    return static_cast<std::int32_t>(last);
}

void print_times(const Options& o, Index prompt, double prompt_s, double tokens_s) {
    const double steps = static_cast<double>(o.tokens), n = static_cast<double>(o.samples);
    std::fprintf(stderr,
                 "prompt_tokens: %lld\nprompt_seconds: %.4f\nms_per_step: %.4f\n"
                 "tokens_per_second: %.1f\n",
                 static_cast<long long>(prompt), prompt_s, 1e3 * tokens_s / steps,
                 n * steps / tokens_s);
}

// Continues `prompt` o.samples times at once; show(sample, token) is called for each new token.
template <class F>
void continue_text(Decoder<float>& decoder, const Context& ctx, const Options& o,
                   const Tokens& prompt, F&& show) {
    const Index batch = decoder.batch(), n = std::ssize(prompt) - 1;
    std::vector<CounterRng> streams;
    for (Index b = 0; b < batch; ++b)
        streams.emplace_back(static_cast<std::uint64_t>(o.seed), fmt::format("generate/{}", b));
    Tokens all;  // the prompt but its last token, for every sample
    for (Index b = 0; b < batch; ++b) all.insert(all.end(), prompt.begin(), prompt.end() - 1);
    const auto start = Clock::now();
    decoder.prefill(ctx, {all.data(), {{'B', batch}, {'T', n}}, Device::cpu});
    const double prompt_s = seconds_since(start);
    const auto prompt_end = Clock::now();
    Tokens now(static_cast<std::size_t>(batch), prompt.back());
    std::vector<double> scratch;
    for (long i = 0; i < o.tokens; ++i) {
        const View<const float> logits =
            decoder.step(ctx, {now.data(), {{'B', batch}}, Device::cpu});
        for (Index b = 0; b < batch; ++b) {
            const auto k = static_cast<std::size_t>(b);
            now[k] = sample(logits.row(b), decoder.vocab(), o,
                            streams[k].uniform(static_cast<std::uint64_t>(i)), scratch);
            show(b, now[k]);
        }
    }
    print_times(o, std::ssize(prompt), prompt_s, seconds_since(prompt_end));
}

void generate(const Options& o) {
    require_run(o.run, "generate");
    check(o);
    const Config config = load_config(std::filesystem::path(o.run) / "config.toml", {}).config;
    const auto data = open_dataset(config.data, config.model.resolved().context);
    const Context ctx{Device::cpu, omp_get_num_procs()};
    set_up_threads(ctx);
    const Tokens prompt = data->encode(o.prompt);
    if (prompt.empty()) throw UsageError("--prompt is empty; give at least one character");
    const auto decoder =
        load_decoder(o.run, {config.model, config.mixer, data->vocab(), o.samples, ctx.threads});
    const bool is_text = data->bytes_per_token() > 0;
    const std::string begin = o.prompt + (is_text ? "" : " |");
    const auto piece = [&](std::int32_t token) {
        return (is_text ? "" : " ") + data->decode(std::span(&token, 1));
    };
    std::vector<Tokens> texts(static_cast<std::size_t>(o.samples));
    if (o.samples == 1) std::printf("%s", begin.c_str());
    continue_text(*decoder, ctx, o, prompt, [&](Index b, std::int32_t token) {
        texts[static_cast<std::size_t>(b)].push_back(token);
        if (o.samples > 1) return;  // several are printed one after the other, below
        std::printf("%s", piece(token).c_str());
        std::fflush(stdout);
    });
    if (o.samples == 1) {
        std::printf("\n");
        return;
    }
    for (std::size_t b = 0; b < texts.size(); ++b) {
        std::printf("%s%s", b > 0 ? "---\n" : "", begin.c_str());
        for (const std::int32_t token : texts[b]) std::printf("%s", piece(token).c_str());
        std::printf("\n");
    }
}

}  // namespace

void add_generate_command(CLI::App& app) {
    auto o = std::make_shared<Options>();
    CLI::App* cmd = app.add_subcommand("generate", "continue a text with a trained run");
    cmd->add_option("run", o->run, "folder of a run")->required();
    cmd->add_option("--prompt", o->prompt, "text to continue (tasks: numbers separated by blanks)");
    cmd->add_option("--tokens", o->tokens, "how many tokens to add");
    cmd->add_option("--temperature", o->temperature, "0 takes the likeliest token");
    cmd->add_option("--top-k", o->top_k, "draw among the K likeliest tokens (0: all)");
    cmd->add_option("--samples", o->samples, "continuations of the prompt, generated at once");
    cmd->add_option("--seed", o->seed, "of the sampling");
    cmd->footer(kFooter);
    cmd->callback([o] { generate(*o); });
}

}  // namespace plumb
