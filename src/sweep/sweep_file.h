// A sweep file: one question, as base settings, variants and a grid over seeds.
//
//     # Does block AttnRes keep its gain when every mixer has its own rate?   <- the hypothesis
//     [sweep]
//     base = "dilution.toml"      # relative to this file
//     seeds = "1..5"
//     baseline = "standard"
//
//     [[variant]]
//     name = "block4"
//     mixer.name = "attnres_block"
//     mixer.block_size = 4
//
//     [grid]                      # every combination
//     model.layers = [6, 12]
//
// Later wins: base < grid, zip, variant < when < tune < seed.
#pragma once

#include "config/config.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

// A value as it would be typed on a command line, and as values() gives it.
struct SweepValue {
    std::string typed, text;
};

struct SweepAxis {  // one key and the values it takes
    std::string key;
    std::vector<SweepValue> values;
    std::string where;  // "blocks.toml:12"
};

struct SweepVariant {
    std::string name;
    std::vector<PlacedSetting> settings;
    std::string where;
};

// Every axis must match, each by any of its values.
using SweepCondition = std::vector<SweepAxis>;

struct SweepWhen {
    SweepCondition condition;
    std::vector<PlacedSetting> settings;
};

struct SweepTune {
    std::vector<SweepAxis> axes;
    std::vector<long> seeds;
    std::vector<std::string> per;  // "variant", keys of grid and zip
};

// A run whose validation loss at `at` of its steps is more than `drop_above` nats above the best of
// all runs at the same share of theirs is stopped; looked at once.
struct SweepCull {
    double at = 0, drop_above = 0;
};

enum class SweepMatch : std::uint8_t { tokens, params, flops, time };
const char* name_of(SweepMatch match);

struct SweepFile {
    std::filesystem::path path;
    std::string name;        // of the file, without .toml
    std::string scale;       // which [scale.NAME]: settings over the base, lists for grid and zip
    std::string hypothesis;  // its first comment, on one line
    std::string text;        // the file itself
    LoadedConfig base;       // with --set over it
    std::vector<long> seeds;
    std::vector<long> looks;  // numbers of seeds at which results are tested, ascending
    std::string baseline;     // name of a variant
    // Of summary.json; final_test_loss by default where the data have a test split. What is tuned
    // is chosen on the validation split all the same.
    std::string metric = "final_val_loss";
    double margin = 0;  // smallest difference that matters, in the metric's unit; 0: not declared
    SweepMatch match = SweepMatch::tokens;
    std::string match_by;        // the key that is moved to match; "" with tokens
    std::filesystem::path out;   // folder of the sweep
    std::string lock = "flock";  // how runs are locked: flock | lease
    std::vector<SweepVariant> variants;
    std::vector<SweepAxis> grid, zip;
    std::vector<SweepWhen> when;
    std::vector<SweepCondition> exclude;
    std::optional<SweepTune> tune;
    std::optional<SweepCull> cull;
    // What the command line leaves of it; the sweep is the whole file all the same.
    std::string only;              // glob of variant names; "": all
    std::vector<long> only_seeds;  // empty: all
    std::vector<std::string> notes;
};

struct SweepOptions {              // of the command line
    std::vector<std::string> set;  // key=value over the base
    std::string scale;             // instead of the file's
    std::string only, seeds;       // as `only`; "1,2" or "1..3"
    std::filesystem::path out;     // another folder; empty: the file's
};

// Throws UsageError naming every fault of the file, each with its line; IoError if it cannot be
// read. Nothing is created.
SweepFile read_sweep_file(const std::filesystem::path& path, const SweepOptions& options = {});

// "1..5", "1,2,7..9". Throws UsageError with `where`.
std::vector<long> parse_seeds(const std::string& text, const std::string& where);

}  // namespace plumb
