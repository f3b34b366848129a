// Options of attention residuals; the equation is attn_res_rule.h.
#include "mixers/attn_res_rule.h"
#include "mixers/memories/sources_on_gpu.h"
#include "mixers/plain.h"

namespace plumb {
namespace {
constexpr int kBlocks = 8;  // the paper's, where nothing is said
}

int sublayers_a_block(const MixerConfig& config, int sublayers) {
    const long size = config.integer("block_size"), n_blocks = config.integer("n_blocks");
    if (size > 0 && n_blocks > 0)
        throw UsageError("mixer.block_size and mixer.n_blocks exclude each other; set one of them");
    if (size > sublayers || n_blocks > sublayers)
        throw UsageError(
            fmt::format("mixer.block_size={} mixer.n_blocks={}: the model has {} sublayers (2 per "
                        "model.layers); "
                        "use at most that many",
                        size, n_blocks, sublayers));
    if (size > 0) return static_cast<int>(size);
    const int blocks = n_blocks > 0 ? static_cast<int>(n_blocks) : kBlocks;
    return std::max(1, (sublayers + blocks - 1) / blocks);
}

namespace {

AttnResOptions resolve_options(const MixerConfig& config, const MixerShape& shape) {
    using Weights = SourceKeys::Weights;
    using Query = AttnResOptions::Query;
    if (config.text("weights") == "raw")
        throw UsageError(
            "mixer.weights=raw: attnres has softmax, sigmoid and sigmoid_norm; raw "
            "learned numbers are static_mix");
    if (shape.channels % config.integer("heads") != 0)
        throw UsageError(fmt::format("mixer.heads={} does not divide model.width={}",
                                     config.integer("heads"), shape.channels));
    const bool no_query = config.text("query") == "none";
    if (no_query && (config.integer("heads") > 1 || !config.flag("key_norm")))
        throw UsageError(
            "mixer.query=none has no keys: mixer.heads and mixer.key_norm say nothing");
    const std::string &weights = config.text("weights"), &query = config.text("query");
    const bool full = config.name == "attnres";
    return {.block_size = full ? 1 : sublayers_a_block(config, shape.sublayers()),
            .window = static_cast<int>(config.integer("window")),
            .query = no_query             ? Query::none
                     : query == "learned" ? Query::learned
                                          : Query::input,
            .keys = {.weights = weights == "softmax"   ? Weights::softmax
                                : weights == "sigmoid" ? Weights::sigmoid
                                                       : Weights::sigmoid_norm,
                     .gain = config.flag("key_gain") && config.flag("key_norm"),
                     .normed = config.flag("key_norm"),
                     .heads = static_cast<int>(config.integer("heads")),
                     .norm_by_head = config.text("head_norm") == "head"}};
}

}  // namespace

MixerOption weights_option() {
    return {"weights", "softmax",
            "how a read weighs its sources: softmax or sigmoid of logits, sigmoids divided by "
            "their sum (sigmoid_norm), or the learned numbers as they are (raw)",
            Choices{"softmax", "sigmoid", "sigmoid_norm", "raw"}};
}

std::vector<MixerOption> attn_res_options(bool blocks) {
    std::vector<MixerOption> all{
        {"key_gain", true, "whether the RMSNorm of the keys has a learned gain"}};
    if (blocks) {
        all.push_back({"block_size", 0L,
                       "sublayers whose outputs are summed into one block (0: n_blocks decides)",
                       within(0, 1e6)});
        all.push_back({"n_blocks", 0L,
                       fmt::format("number of blocks (0: {}, unless block_size is set)", kBlocks),
                       within(0, 1e6)});
    }
    all.push_back(weights_option());
    all.push_back({"query", "learned",
                   "what asks for a source: a learned vector, that plus a matrix times the newest "
                   "output (input), or none: learned numbers in place of query and keys",
                   Choices{"learned", "input", "none"}});
    all.push_back(
        {"key_norm", true, "whether keys are RMSNorm of the sources, or the sources themselves"});
    all.push_back(
        {"heads", 1L, "groups of channels that weigh the sources each by itself", within(1, 1e6)});
    all.push_back({"head_norm", "full",
                   "what the norm of a key is taken over: all channels or those of the head",
                   Choices{"full", "head"}});
    if (!blocks)
        all.push_back(
            {"window", 0L,
             "a read sees the embedding and this many of the newest other sources (0: all)",
             within(0, 1e6)});
    return all;
}

AttnResRule::AttnResRule(const MixerConfig& config, const MixerShape& shape)
    : RuleOf(shape), options_(resolve_options(config, shape)) {}

// A query from the input asks with a vector of its own for every token, and its gradient wants all
// sources at once: plain.
MixerMakers attn_res_mixer() {
    const auto make = [](auto type, auto rule) -> MixerPtr<decltype(type)> {
        using T = decltype(type);
        const AttnResOptions options = rule->options();
        if (options.query == AttnResOptions::Query::input)
            return std::make_unique<Plain<T>>(std::move(rule));
        const bool on_gpu = rule->shape().device == Device::cuda;
        SourceRule from{.rule = std::move(rule), .block_size = options.block_size, .keys = {}};
        if (options.query == AttnResOptions::Query::learned) from.keys = options.keys;
        if (!on_gpu) return std::make_unique<Sources<T>>(std::move(from));
        if (!SourcesOnGpu<T>::carries(from))
            return std::make_unique<Plain<T>>(std::move(from.rule));
        return std::make_unique<SourcesOnGpu<T>>(std::move(from));
    };
    return mixer_of<AttnResRule>(make, [](const Rule&) { return true; });
}

}  // namespace plumb
