// What a model is trained and validated on. Every batch is a pure function of (seed, index): a run
// that resumes at step s needs no state, and two mixers with one seed see the same batches.
//
// Rows are numbered through: row b of micro-batch `index` is sequence index * B + b, so batch=4
// accumulate=2 trains on exactly the sequences of batch=8 accumulate=1, in the same order.
#pragma once

#include "core/view.h"
#include "data/data_config.h"
#include "data/tokenizer.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// What val_batch, val_sequences and bytes_per_token are of: the validation split, or a test split
// that training never sees. The names stay: whoever evaluates opens the data for one of them.
enum class EvalSplit { val, test };

class Dataset {
public:
    virtual ~Dataset() = default;

    virtual Index vocab() const = 0;
    // Bytes of validation text per validation token, for bits per byte; 0: not text, no bpb.
    virtual double bytes_per_token() const { return 0; }
    // The lowest expected loss, nats per scored token, where a closed form is known (markov).
    virtual std::optional<double> optimal_loss() const { return std::nullopt; }

    // Fill tokens, targets (B, T), on the CPU; T is the context the dataset was opened with. Target
    // -1: not scored. Validation takes no seed: it is the same for every run and every mixer, and
    // its sequences 0 .. val_sequences() - 1 score every token of the split once (the last sequence
    // may be short); any first few are spread over the split. Later sequences hold nothing new.
    virtual void train_batch(std::uint64_t seed, std::uint64_t index, View<std::int32_t> tokens,
                             View<std::int32_t> targets) const = 0;
    virtual void val_batch(std::uint64_t index, View<std::int32_t> tokens,
                           View<std::int32_t> targets) const = 0;

    // Sequences of the validation split.
    virtual Index val_sequences() const = 0;

    // One line for the settings table and the manifest.
    virtual std::string describe() const = 0;
    // SHA-256 of the data and the tokenizer. Throws IoError if files are not what meta.json says.
    virtual std::string fingerprint() const = 0;

    // What a run keeps of its data (run/run_text.h): meta.json, and the files of the tokenizer.
    virtual std::map<std::string, std::string> meta_files() const;

    // What turns text into tokens; nullopt where the data are numbers only.
    virtual std::optional<Tokenizer> tokenizer() const { return std::nullopt; }
    // Text and tokens. Where there is no tokenizer, numbers separated by blanks. encode throws
    // UsageError for what has no token.
    virtual std::string decode(std::span<const std::int32_t> tokens) const;
    virtual std::vector<std::int32_t> encode(std::string_view text) const;

protected:
    // Throws InternalError unless both are (B, context) on the CPU.
    static void check_batch(View<std::int32_t> tokens, View<std::int32_t> targets, Index context);
};

// Numbers separated by blanks, for data without a tokenizer. encode_numbers throws UsageError for
// what is not a number below `vocab`.
std::string decode_numbers(std::span<const std::int32_t> tokens);
std::vector<std::int32_t> encode_numbers(std::string_view text, Index vocab);

// config.path opens a folder of token files, config.task a built-in task; exactly one must be set.
// Throws UsageError (config, context too long or too short, no test split) or IoError (files).
std::unique_ptr<Dataset> open_dataset(const DataConfig& config, Index context,
                                      EvalSplit split = EvalSplit::val);

// Throws UsageError unless `data` has the tokenizer that a run was trained with (nullopt: the run
// knows none, its tokens are numbers): another alphabet or other merges give other tokens for the
// same text, even where there are as many. `run` is its folder.
void check_same_tokenizer(const Dataset& data, const std::optional<Tokenizer>& trained_with,
                          const std::string& run);

}  // namespace plumb
