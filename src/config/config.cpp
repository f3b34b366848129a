#include "config/config.h"

#include "config/config_fields.h"
#include "config/config_toml.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "mixers/mixers.h"
#include "model/sublayers.h"

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
    void check() const;
    void check_typed() const;
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

void Loader::set(const std::string& key, const toml::node& node, const std::string& where) {
    if (of_a_run && key == "train.eval_batches" && node.is_integer()) {
        eval_batches = node.as_integer()->get();
        return;
    }
    const FieldRef& field = find(key, where);
    const TypedValue value = typed_value(field, node, where);
    set(key, value.typed, value.shown, where);
}

void Loader::read(const fs::path& path, std::vector<fs::path>& chain) {
    const fs::path identity = fs::weakly_canonical(path);
    chain.push_back(identity);
    if (std::find(chain.begin(), chain.end() - 1, identity) != chain.end() - 1) {
        std::string text;
        for (const fs::path& p : chain) text += (text.empty() ? "" : " -> ") + p.string();
        throw UsageError("'extends' goes in a circle: " + text);
    }
    const toml::table root = parse_toml_file(path);
    if (const toml::node* base = root.get("extends")) {
        if (!base->is_string())
            throw UsageError(toml_place(path, *base) + ": extends takes one file name in quotes");
        read(path.parent_path() / base->as_string()->get(), chain);
    }
    for (const auto& [name, node] : root) {
        const std::string table(name.str());
        if (table == "extends") continue;
        if (!node.is_table()) {
            set(table, node, toml_place(path, node));
            continue;
        }
        for (const auto& [key, value] : *node.as_table())
            set(table + "." + std::string(key.str()), value, toml_place(path, value));
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

// Options of other rows than the chosen ones must not even be typed.
void Loader::check_typed() const {
    for (const FieldRef& field : refs) {
        const auto origin = result.origin.find(field.key);
        if (origin == result.origin.end() || origin->second == "default") continue;
        const auto wrong = misplaced(refs, field);
        if (!wrong) continue;
        throw UsageError(fmt::format(
            "{}: {} is an option of {}, but {} is '{}' ({}); leave it out, or set {}={}",
            origin->second, field.key, fmt::join(wrong->owners, ", "), wrong->selector,
            wrong->chosen, result.origin.at(wrong->selector), wrong->selector,
            wrong->owners.front()));
    }
}

// Options of sublayers that no block has must stay at their defaults, as those of other mixers.
void check_sublayers(const Config& config, const std::vector<FieldRef>& refs,
                     const std::vector<FieldRef>& defaults) {
    for (const SublayerInfo& s : sublayers()) {
        if (config.model.has(s.name)) continue;
        for (std::size_t i = 0; i < refs.size(); ++i)
            if (refs[i].key.starts_with(s.name + ".") && refs[i].text() != defaults[i].text())
                throw UsageError(fmt::format(
                    "{}={} is an option of {} sublayers, and model.pattern=[{}] has none",
                    refs[i].key, refs[i].text(), s.name, fmt::join(config.model.pattern, ", ")));
    }
}

// What a mixer says of its own options, for this model.
void check_mixer(const Config& config) {
    make_rule(config.mixer, {config.model.layout(), 1, config.model.width, config.model.norm_eps});
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

void Loader::check() const {
    check_typed();
    validate(result.config);
}

}  // namespace

LoadedConfig load_config(const fs::path& toml_path, const std::vector<std::string>& overrides) {
    Loader loader;
    for (const FieldRef& r : loader.refs) loader.result.origin[r.key] = "default";
    std::vector<fs::path> chain;
    if (!toml_path.empty()) loader.read(toml_path, chain);
    for (const std::string& text : overrides) loader.override_value(text);
    loader.check();
    return std::move(loader.result);
}

LoadedConfig with_settings(const LoadedConfig& base, const std::vector<PlacedSetting>& settings) {
    Loader loader;
    loader.result = base;  // in place: the fields refer into it
    for (const PlacedSetting& s : settings)
        loader.set(s.key, s.value, "'" + s.value + "'", s.where);
    loader.check();
    return std::move(loader.result);
}

SettingValue setting_value(const std::string& key, std::string_view typed,
                           const std::string& where) {
    Loader loader;
    loader.set(key, typed, fmt::format("'{}'", typed), where);
    const FieldRef& field = loader.find(key, where);
    return {field.key, std::string(typed), field.text()};
}

SettingValue setting_value(const std::string& key, const toml::node& node,
                           const std::string& where) {
    Loader loader;
    const FieldRef& field = loader.find(key, where);
    const TypedValue value = typed_value(field, node, where);
    loader.set(key, value.typed, value.shown, where);
    return {field.key, value.typed, field.text()};
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
    loader.check();
    return std::move(loader.result);
}

Config load_run_config(const fs::path& run) { return load_run_config(run, {}).config; }

void validate(const Config& config) {
    Config copy = config, defaults;
    const std::vector<FieldRef> refs = field_refs(copy);
    for (const FieldRef& field : refs) field.check();
    const std::vector<FieldRef> default_refs = field_refs(defaults);
    check_placed(refs, default_refs);
    check_sublayers(config, refs, default_refs);
    check_mixer(config);
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
