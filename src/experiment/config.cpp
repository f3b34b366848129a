#include "experiment/config.h"

#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "experiment/config_fields.h"
#include "mixers/mixers.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace plumb {
namespace fs = std::filesystem;
namespace {

// ---- setting one value -------------------------------------------------------------------------

struct Loader {
    LoadedConfig result;
    std::vector<FieldRef> refs = field_refs(result.config);

    FieldRef& find(const std::string& key, const std::string& where);
    void set(const std::string& key, std::string_view typed, std::string_view shown,
             const std::string& where);
    void set(const std::string& key, const toml::node& node, const std::string& where);
    void read(const fs::path& path, std::vector<fs::path>& chain);
    void override_value(const std::string& text);
};

// The closest key; a word without a table is compared with the last parts ("lr" -> "train.lr").
std::string nearest_key(const std::string& word, const std::vector<FieldRef>& refs) {
    const bool has_table = word.find('.') != std::string::npos;
    std::vector<std::string> candidates;
    for (const FieldRef& r : refs)
        candidates.push_back(has_table ? r.key : r.key.substr(r.key.find('.') + 1));
    const std::string best = nearest(word, candidates);
    const auto at = std::find(candidates.begin(), candidates.end(), best) - candidates.begin();
    return refs[static_cast<std::size_t>(at)].key;
}

FieldRef& Loader::find(const std::string& key, const std::string& where) {
    const std::string full = key == "mixer" ? "mixer.name" : key;
    for (FieldRef& r : refs)
        if (r.key == full) return r;
    throw UsageError(fmt::format("{}: unknown key '{}'; did you mean '{}'?", where, key,
                                 nearest_key(key, refs)));
}

void Loader::set(const std::string& key, std::string_view typed, std::string_view shown,
                 const std::string& where) {
    FieldRef& field = find(key, where);
    if (!field.parse(typed)) {
        const bool text = field.type() == "text";
        throw UsageError(fmt::format("{}: {} = {} is not {} {}; for example {}={}", where,
                                     field.key, shown, field.type() == "integer" ? "an" : "a",
                                     field.type(), field.key, text ? "name" : field.text()));
    }
    if (!field.choices.empty()) {
        const std::string& value = *std::get<std::string*>(field.value);
        if (std::find(field.choices.begin(), field.choices.end(), value) == field.choices.end())
            throw UsageError(fmt::format("{}: {} = '{}' is not one of {}; did you mean '{}'?",
                                         where, field.key, value, fmt::join(field.choices, ", "),
                                         nearest(value, field.choices)));
    }
    result.origin[field.key] = where;
}

// ---- TOML files --------------------------------------------------------------------------------

std::string place(const fs::path& path, const toml::node& node) {
    return fmt::format("{}:{}", path.string(), node.source().begin.line);
}

// A TOML value must have the field's own type; an integer is also a number, and a highway bias may
// be written as a number.
void Loader::set(const std::string& key, const toml::node& node, const std::string& where) {
    const std::string type = find(key, where).type();
    std::string shown = "an array, table or date";
    std::string typed;
    bool fits = false;
    if (const auto* i = node.as_integer()) {
        typed = shown = fmt::format("{}", i->get());
        fits = type == "integer" || type == "number" || key == "mixer.gate_bias";
    } else if (const auto* x = node.as_floating_point()) {
        typed = shown = fmt::format("{}", x->get());
        fits = type == "number" || key == "mixer.gate_bias";
    } else if (const auto* b = node.as_boolean()) {
        typed = shown = b->get() ? "true" : "false";
        fits = type == "boolean";
    } else if (const auto* s = node.as_string()) {
        typed = s->get();
        shown = fmt::format("\"{}\"", typed);
        fits = type == "text";
    }
    if (!fits) {
        throw UsageError(fmt::format("{}: {} = {} has the wrong type; it takes {} {}", where, key,
                                     shown, type == "integer" ? "an" : "a", type));
    }
    set(key, typed, shown, where);
}

toml::table parse_file(const fs::path& path) {
    try {
        return toml::parse(read_file(path), path.string());
    } catch (const toml::parse_error& e) {
        throw UsageError(fmt::format("{}:{}: not valid TOML: {}", path.string(),
                                     e.source().begin.line, e.description()));
    }
}

void Loader::read(const fs::path& path, std::vector<fs::path>& chain) {
    const fs::path identity = fs::weakly_canonical(path);
    chain.push_back(identity);
    if (std::find(chain.begin(), chain.end() - 1, identity) != chain.end() - 1) {
        std::string text;
        for (const fs::path& p : chain) text += (text.empty() ? "" : " -> ") + p.string();
        throw UsageError("'extends' goes in a circle: " + text);
    }
    const toml::table root = parse_file(path);
    if (const toml::node* base = root.get("extends")) {
        if (!base->is_string())
            throw UsageError(place(path, *base) + ": extends takes one file name in quotes");
        read(path.parent_path() / base->as_string()->get(), chain);
    }
    for (const auto& [name, node] : root) {
        const std::string table(name.str());
        if (table == "extends") continue;
        if (!node.is_table()) {
            set(table, node, place(path, node));
            continue;
        }
        for (const auto& [key, value] : *node.as_table())
            set(table + "." + std::string(key.str()), value, place(path, value));
    }
}

void Loader::override_value(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos && text.ends_with(".toml"))
        throw UsageError(
            fmt::format("command line: settings files are named with -c; try '-c {}'", text));
    if (equals == std::string::npos || equals == 0)
        throw UsageError(fmt::format(
            "command line: expected key=value, for example train.steps=200, not '{}'", text));
    const std::string value = text.substr(equals + 1);
    set(text.substr(0, equals), value, "'" + value + "'", "command line");
}

// ---- checks of the whole -----------------------------------------------------------------------

void check_placed(const LoadedConfig& loaded) {
    for (const auto& [key, where] : loaded.origin) {
        if (where == "default") continue;
        const auto wrong = misplaced(loaded.config, key);
        if (!wrong) continue;
        throw UsageError(fmt::format(
            "{}: {} is an option of {}, but {} is '{}' ({}); leave it out, or set {}={}", where,
            key, fmt::join(wrong->owners, ", "), wrong->selector, wrong->chosen,
            loaded.origin.at(wrong->selector), wrong->selector, wrong->owners.front()));
    }
}

struct Range {
    const char* key;
    double low;
    double high;
    bool open_low = false, open_high = false;
};

const std::vector<Range>& ranges() {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    static const std::vector<Range> table{
        {"model.rope_base", 0, kInf, true},
        {"model.norm_eps", 0, kInf},
        {"model.init_std", 0, kInf},
        {"mixer.dilation", 1, kInf},
        {"mixer.period", 1, kInf},
        {"mixer.streams", 1, kInf},
        {"mixer.sinkhorn_iters", 1, kInf},
        {"mixer.block_size", 0, kInf},
        {"mixer.n_blocks", 0, kInf},
        {"train.steps", 1, kInf},
        {"train.batch", 1, kInf},
        {"train.accumulate", 1, kInf},
        {"train.lr", 0, kInf, true},
        {"train.warmup", 0, kInf},
        {"train.decay_fraction", 0, 1},
        {"train.min_lr_fraction", 0, 1},
        {"train.weight_decay", 0, kInf},
        {"train.beta1", 0, 1, false, true},
        {"train.beta2", 0, 1, false, true},
        {"train.adam_eps", 0, kInf, true},
        {"train.clip", 0, kInf},
        {"train.seed", 0, kInf},
        {"train.eval_every", 1, kInf},
        {"train.eval_batches", 1, kInf},
        {"train.log_every", 1, kInf},
        {"train.checkpoint_every", 1, kInf},
        {"train.keep_checkpoints", 1, kInf},
        {"train.patience", 0, kInf},
        {"data.task_vocab", 2, kInf},
        {"data.task_pairs", 1, kInf},
        {"data.task_hops", 1, kInf},
        {"data.task_modulus", 2, kInf},
        {"data.task_order", 1, kInf},
        {"record.probe_every", 0, kInf},
    };
    return table;
}

void check_range(const FieldRef& field, const Range& range) {
    const double value = std::holds_alternative<long*>(field.value)
                             ? static_cast<double>(*std::get<long*>(field.value))
                             : *std::get<double*>(field.value);
    const bool above = range.open_low ? value > range.low : value >= range.low;
    const bool below = range.open_high ? value < range.high : value <= range.high;
    if (above && below && std::isfinite(value)) return;
    std::string rule = fmt::format("{} {}", range.open_low ? "above" : "at least", range.low);
    if (std::isfinite(range.high))
        rule += fmt::format(" and {} {}", range.open_high ? "below" : "at most", range.high);
    throw UsageError(
        fmt::format("{} = {} is out of range; it must be {}", field.key, field.text(), rule));
}

void check_mixer(const MixerConfig& mixer) {
    find_mixer(mixer.name);
    if (mixer.block_size > 0 && mixer.n_blocks > 0)
        throw UsageError("mixer.block_size and mixer.n_blocks exclude each other; set one of them");
    if (mixer.gate_bias != "depth" && mixer.gate_bias != "uniform") {
        double bias = 0;
        const char* end = mixer.gate_bias.data() + mixer.gate_bias.size();
        const auto [at, error] = std::from_chars(mixer.gate_bias.data(), end, bias);
        if (error != std::errc{} || at != end || !std::isfinite(bias))
            throw UsageError(fmt::format(
                "mixer.gate_bias = '{}' must be depth, uniform or a number", mixer.gate_bias));
    }
}

}  // namespace

LoadedConfig load_config(const fs::path& toml_path, const std::vector<std::string>& overrides) {
    Loader loader;
    for (const FieldRef& r : loader.refs) loader.result.origin[r.key] = "default";
    std::vector<fs::path> chain;
    if (!toml_path.empty()) loader.read(toml_path, chain);
    for (const std::string& text : overrides) loader.override_value(text);
    check_mixer(loader.result.config.mixer);
    check_placed(loader.result);
    validate(loader.result.config);
    return std::move(loader.result);
}

void validate(const Config& config) {
    Config copy = config;
    Config defaults;
    const std::vector<FieldRef> default_refs = field_refs(defaults);
    std::size_t i = 0;
    for (const FieldRef& field : field_refs(copy)) {
        for (const Range& range : ranges())
            if (field.key == range.key) check_range(field, range);
        const auto wrong = misplaced(config, field.key);
        if (wrong && field.text() != default_refs[i].text())
            throw UsageError(fmt::format("{} is an option of {}, but {} is '{}'", field.key,
                                         fmt::join(wrong->owners, ", "), wrong->selector,
                                         wrong->chosen));
        ++i;
    }
    check_mixer(config.mixer);
    if (!config.data.path.empty() && !config.data.task.empty())
        throw UsageError("data.path and data.task exclude each other; set one of them");
}

void require_data(const Config& config) {
    if (config.data.path.empty() == config.data.task.empty())
        throw UsageError(
            "no training data: set data.path=DIR (see `plumb data prepare --help`) or "
            "data.task=NAME (see `plumb list tasks`), one of the two");
}

}  // namespace plumb
