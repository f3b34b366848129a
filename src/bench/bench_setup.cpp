#include "bench/bench_setup.h"

#include "core/check.h"
#include "core/rng.h"
#include "mixers/attn_res_rule.h"
#include "mixers/mixers.h"

#include <algorithm>
#include <charconv>

namespace plumb {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts{""};
    for (const char c : text)
        if (c == at)
            parts.emplace_back();
        else
            parts.back() += c;
    return parts;
}

// key=value -> key
std::string key_of(const std::string& setting) { return setting.substr(0, setting.find('=')); }

bool knows(const BenchMixer& mixer, const std::string& setting) {
    return find_mixer(mixer.name).reads(key_of(setting).substr(std::string("mixer.").size()));
}

}  // namespace

// ---- shapes ------------------------------------------------------------------------------------

BenchShape parse_bench_shape(const std::string& text) {
    if (text == "a") return {text, 12, 256, 4, 256, 8};
    if (text == "b") return {text, 24, 128, 4, 256, 8};
    if (text == "c") return {text, 6, 384, 6, 256, 16};
    std::vector<long> n;
    for (const std::string& part : split(text, 'x')) {
        long value = 0;
        const char* end = part.data() + part.size();
        const auto [at, error] = std::from_chars(part.data(), end, value);
        constexpr long kMost = 1 << 24;  // products of two stay far inside 64 bits
        if (error == std::errc{} && at == end && value > 0 && value <= kMost) n.push_back(value);
    }
    if (n.size() != 4 || std::count(text.begin(), text.end(), 'x') != 3)
        throw UsageError(
            fmt::format("--shape '{}' is none of a, b, c and not LAYERSxWIDTHxTxBATCH, for example "
                        "12x256x256x8",
                        text));
    constexpr long kHeadDim = 64;
    const long heads = n[1] % kHeadDim == 0 ? n[1] / kHeadDim : 1;
    return {text, n[0], n[1], heads, n[2], n[3]};
}

// ---- mixers and settings -----------------------------------------------------------------------

namespace {

BenchMixer parse_mixer(const std::string& word) {
    const std::size_t colon = word.find(':');
    BenchMixer mixer{word, word.substr(0, colon), {}};
    find_mixer(mixer.name);
    if (colon == std::string::npos) return mixer;
    for (const std::string& setting : split(word.substr(colon + 1), ','))
        mixer.settings.push_back("mixer." + setting);
    return mixer;
}

}  // namespace

std::vector<BenchMixer> parse_bench_mixers(const std::vector<std::string>& words,
                                           const std::string& against) {
    std::vector<std::string> labels{against};
    for (const std::string& word : words)
        if (word == "all")
            for (const MixerInfo& m : mixers()) labels.push_back(m.name);
        else
            labels.push_back(word);
    std::vector<BenchMixer> out;
    for (const std::string& label : labels)
        if (std::none_of(out.begin(), out.end(), [&](auto& m) { return m.label == label; }))
            out.push_back(parse_mixer(label));
    return out;
}

void check_bench_overrides(const std::vector<BenchMixer>& mixers,
                           const std::vector<std::string>& overrides) {
    for (const std::string& setting : overrides) {
        if (is_model_key(setting) || setting.starts_with("train.")) continue;
        if (!setting.starts_with("mixer."))
            throw UsageError(
                fmt::format("'{}': bench takes key=value of model, its sublayers, mixer and train; "
                            "mixers are named with --mixers NAME[:key=value]",
                            setting));
        if (std::none_of(mixers.begin(), mixers.end(), [&](auto& m) { return knows(m, setting); }))
            throw UsageError(
                fmt::format("{} is an option of none of the mixers here", key_of(setting)));
    }
}

Config bench_config(const BenchShape& s, const BenchMixer& mixer,
                    const std::vector<std::string>& overrides) {
    std::vector<std::string> all{"mixer=" + mixer.name,
                                 fmt::format("model.layers={}", s.layers),
                                 fmt::format("model.width={}", s.width),
                                 fmt::format("model.heads={}", s.heads),
                                 fmt::format("model.context={}", s.context),
                                 fmt::format("train.batch={}", s.batch)};
    for (const std::string& setting : overrides)
        if (!setting.starts_with("mixer.") || knows(mixer, setting)) all.push_back(setting);
    all.insert(all.end(), mixer.settings.begin(), mixer.settings.end());
    return load_config("", all).config;
}

std::optional<double> paper_moved(const MixerConfig& mixer, long sublayers, long width) {
    const auto d = static_cast<double>(width), m = static_cast<double>(mixer.integer("streams"));
    if (mixer.name == "standard") return 3.0;
    if (mixer.name == "mhc") return 8 * m + 2 + (2 * m * m + 4 * m) / d;
    if (!mixer.name.starts_with("attnres")) return std::nullopt;
    const long size = sublayers_a_block(mixer, static_cast<int>(sublayers));
    const auto s = static_cast<double>(size);
    const auto n = static_cast<double>((sublayers + size - 1) / size);
    return mixer.name == "attnres" ? s + n : n / s + 5;
}

// ---- tokens ------------------------------------------------------------------------------------

SyntheticTokens::SyntheticTokens(Index vocab, Index context) : vocab_(vocab), context_(context) {
    const CounterRng rng(1, "bench.tokens");
    pool_.resize(static_cast<std::size_t>(kSequences * context + 1));
    for (std::size_t i = 0; i < pool_.size(); ++i)
        pool_[i] = static_cast<std::int32_t>(rng.uniform(i) * static_cast<double>(vocab));
}

void SyntheticTokens::train_batch(std::uint64_t, std::uint64_t index, View<std::int32_t> tokens,
                                  View<std::int32_t> targets) const {
    check_batch(tokens, targets, context_);
    const Index rows = tokens.extent(0);
    for (Index b = 0; b < rows; ++b) {
        const Index sequence = (static_cast<Index>(index) * rows + b) % kSequences;
        const std::int32_t* from = pool_.data() + sequence * context_;
        std::copy_n(from, context_, tokens.row(b));
        std::copy_n(from + 1, context_, targets.row(b));
    }
}

void SyntheticTokens::val_batch(std::uint64_t index, View<std::int32_t> tokens,
                                View<std::int32_t> targets) const {
    train_batch(0, index, tokens, targets);
}

std::string SyntheticTokens::describe() const {
    return fmt::format("uniform tokens of {} symbols", vocab_);
}

}  // namespace plumb
