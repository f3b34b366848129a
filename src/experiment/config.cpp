#include "experiment/config.h"

#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "experiment/config_fields.h"
#include "experiment/toml_guard.h"
#include "mixers/mixers.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace plumb {
namespace fs = std::filesystem;
namespace {

// ---- setting one value -------------------------------------------------------------------------

struct Loader {
    LoadedConfig result;
    std::vector<FieldRef> refs = field_refs(result.config);
    bool of_a_run = false;             // a run folder's file: may have keys of schema 1
    std::optional<long> eval_batches;  // one of them

    FieldRef& find(const std::string& key, const std::string& where);
    void set(const std::string& key, std::string_view typed, std::string_view shown,
             const std::string& where);
    void set(const std::string& key, const toml::node& node, const std::string& where);
    void read(const fs::path& path, std::vector<fs::path>& chain);
    void override_value(const std::string& text);
};

FieldRef& Loader::find(const std::string& key, const std::string& where) {
    const std::string full = key == "mixer" ? "mixer.name" : key;
    for (FieldRef& r : refs)
        if (r.key == full) return r;
    if (key == "train.eval_batches")
        throw UsageError(fmt::format(
            "{}: train.eval_batches is now train.eval_sequences, which no longer depends on the "
            "batch: write the product of eval_batches and batch, for example "
            "train.eval_sequences=64",
            where));
    throw UsageError(fmt::format("{}: unknown key '{}'{}", where, key, suggest_key(key)));
}

void Loader::set(const std::string& key, std::string_view typed, std::string_view shown,
                 const std::string& where) {
    FieldRef& field = find(key, where);
    if (!field.parse(typed)) {
        const bool text = field.type() == "text" || field.type() == "list";
        throw UsageError(fmt::format("{}: {}={} is not {} {}; for example {}={}", where, field.key,
                                     shown, field.type() == "integer" ? "an" : "a", field.type(),
                                     field.key, text ? "name" : field.text()));
    }
    field.check(where);
    result.origin[field.key] = where;
}

// ---- TOML files --------------------------------------------------------------------------------

std::string place(const fs::path& path, const toml::node& node) {
    return fmt::format("{}:{}", path.string(), node.source().begin.line);
}

// A TOML value must have the field's own type; but an integer is also a number, a whole number is
// an integer (1e3), and a highway bias may be written as a number.
void Loader::set(const std::string& key, const toml::node& node, const std::string& where) {
    if (of_a_run && key == "train.eval_batches" && node.is_integer()) {
        eval_batches = node.as_integer()->get();
        return;
    }
    const std::string type = find(key, where).type();
    std::string shown = "an array, table or date";
    std::string typed;
    bool fits = false;
    if (const auto* i = node.as_integer()) {
        typed = shown = fmt::format("{}", i->get());
        fits = type == "integer" || type == "number" || key == "mixer.gate_bias";
    } else if (const auto* x = node.as_floating_point()) {
        typed = shown = fmt::format("{}", x->get());
        fits = type == "number" || type == "integer" || key == "mixer.gate_bias";
    } else if (const auto* b = node.as_boolean()) {
        typed = shown = b->get() ? "true" : "false";
        fits = type == "boolean";
    } else if (const auto* s = node.as_string()) {
        typed = s->get();
        shown = fmt::format("\"{}\"", typed);
        fits = type == "text" || type == "list";
    } else if (const auto* list = node.as_array(); list && type == "list") {
        fits = list->empty() || list->is_homogeneous(toml::node_type::string);
        for (const auto& word : *list)
            if (fits) typed += (typed.empty() ? "" : ",") + word.as_string()->get();
        shown = "an array of other things than text";
    }
    if (!fits) {
        throw UsageError(fmt::format("{}: {} = {} has the wrong type; it takes {} {}", where, key,
                                     shown, type == "integer" ? "an" : "a", type));
    }
    set(key, typed, shown, where);
}

toml::table parse_file(const fs::path& path) {
    const std::string text = read_file(path);
    check_toml(text, path.string());
    try {
        return toml::parse(text, path.string());
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

// Tokens are counted in 64 bits.
void check_length(const Config& config) {
    const TrainConfig& t = config.train;
    const double tokens = static_cast<double>(t.steps) * static_cast<double>(t.batch) *
                          static_cast<double>(t.accumulate) *
                          static_cast<double>(config.model.context);
    if (tokens <= 0x1p62) return;
    throw UsageError(fmt::format(
        "train.steps={} with train.batch={}, train.accumulate={} and model.context={} are {:.1e} "
        "tokens; the most is 4.6e18",
        t.steps, t.batch, t.accumulate, config.model.context, tokens));
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

// What earlier versions wrote: validation was eval_batches batches, and probes ran on one batch.
LoadedConfig load_run_config(const fs::path& run, const std::vector<std::string>& overrides) {
    Loader loader;
    for (const FieldRef& r : loader.refs) loader.result.origin[r.key] = "default";
    loader.of_a_run = true;
    std::vector<fs::path> chain;
    loader.read(run / "config.toml", chain);
    Config& config = loader.result.config;
    if (loader.eval_batches) {
        config.record.probe_sequences = config.train.batch;
        if (__builtin_mul_overflow(*loader.eval_batches, config.train.batch,
                                   &config.train.eval_sequences))
            throw UsageError(fmt::format("{}: train.eval_batches is out of range",
                                         (run / "config.toml").string()));
    }
    loader.of_a_run = false;
    for (const std::string& text : overrides) loader.override_value(text);
    check_mixer(config.mixer);
    check_placed(loader.result);
    validate(config);
    return std::move(loader.result);
}

Config load_run_config(const fs::path& run) { return load_run_config(run, {}).config; }

void validate(const Config& config) {
    Config copy = config;
    Config defaults;
    const std::vector<FieldRef> default_refs = field_refs(defaults);
    std::size_t i = 0;
    for (const FieldRef& field : field_refs(copy)) {
        field.check("");
        const auto wrong = misplaced(config, field.key);
        if (wrong && field.text() != default_refs[i].text())
            throw UsageError(fmt::format("{} is an option of {}, but {} is '{}'", field.key,
                                         fmt::join(wrong->owners, ", "), wrong->selector,
                                         wrong->chosen));
        ++i;
    }
    check_mixer(config.mixer);
    check_length(config);
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
