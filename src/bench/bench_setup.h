// What `plumb bench` compares, as it is typed: shapes, mixers, settings. Also the synthetic tokens
// it trains on.
#pragma once

#include "config/config.h"
#include "data/dataset.h"

#include <optional>
#include <string>
#include <vector>

namespace plumb {

inline constexpr long kBenchVocab = 256;

struct BenchShape {
    std::string name;  // as typed: a, b, c or 12x256x256x8
    long layers, width, heads, context, batch, vocab = kBenchVocab;
};

// "a" (width 256, 12 blocks), "b" (128, 24), "c" (384, 6, batch 16), all T 256, or
// LAYERSxWIDTHxTxBATCH, whose heads have 64 channels where that goes. Throws UsageError.
BenchShape parse_bench_shape(const std::string& text);

struct BenchMixer {
    std::string label;  // as typed: attnres_block:n_blocks=4
    std::string name;
    std::vector<std::string> settings;  // mixer.n_blocks=4
};

// "all" gives every mixer at its defaults. Each label once, `against` first. Throws UsageError.
std::vector<BenchMixer> parse_bench_mixers(const std::vector<std::string>& words,
                                           const std::string& against);

// The config of one mixer at one shape. `overrides` are key=value of [model], [train] and [mixer];
// those of [mixer] go to the mixers that know the option. Throws UsageError.
Config bench_config(const BenchShape& shape, const BenchMixer& mixer,
                    const std::vector<std::string>& overrides);
// Throws UsageError for an override of another table, and for an option no mixer here knows.
void check_bench_overrides(const std::vector<BenchMixer>& mixers,
                           const std::vector<std::string>& overrides);

// Numbers a token's read and write of the residual mechanism move per sublayer in the forward pass,
// in multiples of the width d: Table 1 of the Attention Residuals paper. Full attention is counted
// there with the two-phase schedule; N is 8 blocks as for the block form. Nothing for other mixers.
std::optional<double> paper_moved(const MixerConfig& mixer, long sublayers, long width);

// Uniform tokens, the next one as target. Drawn once, so that a batch costs a copy.
class SyntheticTokens final : public Dataset {
public:
    SyntheticTokens(Index vocab, Index context);
    Index vocab() const override { return vocab_; }
    void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                     View<std::int32_t> targets) const override;
    void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                   View<std::int32_t> targets) const override;
    Index val_sequences() const override { return kSequences; }
    std::string describe() const override;
    std::string fingerprint() const override { return describe(); }

private:
    static constexpr Index kSequences = 64;
    Index vocab_, context_;
    std::vector<std::int32_t> pool_;
};
}  // namespace plumb
