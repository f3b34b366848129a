#include "sweep/expand.h"

#include "config/config_fields.h"
#include "core/check.h"
#include "sweep/identity.h"

#include <algorithm>
#include <set>

namespace plumb {
namespace {

constexpr std::size_t kMostCells = 100'000;

using Choice = std::vector<std::pair<const SweepAxis*, const SweepValue*>>;

// Every combination of the grid's values with every row of the zip.
std::vector<Choice> choices(const SweepFile& file) {
    std::vector<Choice> out{{}};
    const auto multiply = [&](std::size_t n, auto&& add) {
        if (out.size() * n > kMostCells)
            throw UsageError(
                fmt::format("{}: more than {} points; a grid grows as the product of "
                            "its lists",
                            file.path.string(), kMostCells));
        std::vector<Choice> next;
        for (const Choice& choice : out)
            for (std::size_t i = 0; i < n; ++i) {
                next.push_back(choice);
                add(next.back(), i);
            }
        out = std::move(next);
    };
    for (const SweepAxis& axis : file.grid)
        multiply(axis.values.size(),
                 [&](Choice& c, std::size_t i) { c.emplace_back(&axis, &axis.values[i]); });
    if (!file.zip.empty())
        multiply(file.zip.front().values.size(), [&](Choice& c, std::size_t i) {
            for (const SweepAxis& axis : file.zip) c.emplace_back(&axis, &axis.values[i]);
        });
    return out;
}

std::string value_of(const Config& config, const std::string& key) {
    for (const auto& [name, text] : values(config))
        if (name == key) return text;
    return "";  // of another mixer or task
}

bool matches(const Config& config, const SweepCondition& condition) {
    return std::all_of(condition.begin(), condition.end(), [&](const SweepAxis& line) {
        const std::string text = value_of(config, line.key);
        return std::any_of(line.values.begin(), line.values.end(),
                           [&](const SweepValue& v) { return v.text == text; });
    });
}

bool names_tuned(const SweepFile& file, const SweepCondition& condition) {
    return std::any_of(condition.begin(), condition.end(), [&](const SweepAxis& line) {
        return std::any_of(file.tune->axes.begin(), file.tune->axes.end(),
                           [&](const SweepAxis& axis) { return axis.key == line.key; });
    });
}

// The config in which only mixer, optimizer and task are chosen: it says which keys belong to none.
Config selectors(const SweepFile& file, const SweepVariant& variant, const Choice& choice) {
    Config config = file.base.config;
    std::vector<FieldRef> refs = field_refs(config);
    const auto take = [&](const std::string& key, const std::string& value) {
        const auto selects = [&](const FieldRef& field) { return field.selector() == key; };
        if (std::any_of(refs.begin(), refs.end(), selects))
            for (FieldRef& field : refs)
                if (field.key == key) field.parse(value);
    };
    for (const auto& [axis, value] : choice) take(axis->key, value->typed);
    for (const PlacedSetting& s : variant.settings) take(s.key, s.value);
    return config;
}

// Told once of a key, whoever does not read it.
std::string not_read(const std::string& key) {
    const FieldInfo* field = find_field(key);
    return field == nullptr || field->owners.empty()
               ? fmt::format(
                     "{} moves nothing in a mixer without parameters: there its values are one run",
                     key)
               : fmt::format("{} is read by {} alone: elsewhere its values are one run", key,
                             fmt::join(field->owners, ", "));
}

SweepCell make_cell(const SweepFile& file, const SweepVariant& variant, const Choice& choice,
                    SweepCosts& costs, std::set<std::string>& notes, Met& met) {
    SweepCell cell{variant.name, {}, {}};
    std::vector<PlacedSetting> settings;
    const Config chosen = selectors(file, variant, choice);
    for (const auto& [axis, value] : choice) {
        if (!reads(chosen, axis->key, costs)) {
            notes.insert(not_read(axis->key));
            continue;
        }
        settings.push_back({axis->key, value->typed, axis->where});
        cell.point[axis->key] = value->text;
    }
    settings.insert(settings.end(), variant.settings.begin(), variant.settings.end());
    cell.config = with_settings(file.base, settings);
    for (const SweepWhen& when : file.when)
        if (matches(cell.config.config, when.condition)) {
            met.insert(&when.condition);
            cell.config = with_settings(cell.config, when.settings);
        }
    return cell;
}

std::string words_of(const SweepPoint& point, const char* equals, const char* between) {
    std::string out;
    for (const auto& [key, text] : point) out += between + short_key(key) + equals + text;
    std::erase(out, '"');
    return out;
}

// What only a model says of its settings, with the run that has them.
void check_shape(const SweepCell& cell, const SweepFile& file, SweepCosts& costs) {
    const DataConfig& data = cell.config.config.data;
    if (data.path.empty() && data.task.empty())
        throw UsageError(fmt::format(
            "{}: no data to train on: name a settings file with base = \"FILE.toml\" under "
            "[sweep], or say data.path or data.task in a variant",
            file.path.string()));
    try {
        costs.of(cell.config.config);
    } catch (const UsageError& e) {
        throw UsageError(fmt::format("{}: {}{}: {}", file.path.string(), cell.variant,
                                     words_of(cell.point, "=", " "), e.what()));
    }
}

}  // namespace

void Faults::add(const std::string& fault) {
    if (std::find(faults_.begin(), faults_.end(), fault) == faults_.end()) faults_.push_back(fault);
}

void Faults::throw_if_any(const std::string& file) const {
    if (faults_.empty()) return;
    if (faults_.size() == 1) throw UsageError(faults_.front());
    throw UsageError(fmt::format("{}: {} faults, and nothing was begun:\n  {}", file,
                                 faults_.size(), fmt::join(faults_, "\n  ")));
}

std::string short_key(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string folder_name(const PlannedRun& run) {
    constexpr std::size_t kLongest = 120;
    std::string name = run.variant + words_of(run.point, "", "-");
    for (char& c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!plain) c = '_';
    }
    if (name.front() == '.') name.front() = '_';
    if (name.size() > kLongest) name.resize(kLongest);
    return fmt::format("{}-s{}-{}", name, run.seed, run.id);
}

bool excluded(const SweepFile& file, const Config& config, bool tuned, Met& met) {
    bool any = false;
    for (const SweepCondition& condition : file.exclude)
        if ((tuned || !names_tuned(file, condition)) && matches(config, condition)) {
            met.insert(&condition);
            any = true;
        }
    return any;
}

bool reads(const Config& config, const std::string& key, SweepCosts& costs) {
    Config copy = config;
    const std::vector<FieldRef> refs = field_refs(copy);
    const FieldRef* field = find_ref(refs, key);
    if (field != nullptr && misplaced(refs, *field)) return false;
    return key != "mixer.lr_scale" || costs.of(config).mixer_params > 0;
}

std::vector<SweepCell> expand(const SweepFile& file, SweepCosts& costs,
                              std::vector<std::string>& notes, Met& met) {
    std::vector<SweepCell> cells;
    std::set<std::string> seen_notes;
    Faults faults;
    const std::vector<Choice> all = choices(file);
    for (const SweepVariant& variant : file.variants) {
        std::set<SweepPoint> points;
        for (const Choice& choice : all) try {
                SweepCell cell = make_cell(file, variant, choice, costs, seen_notes, met);
                if (excluded(file, cell.config.config, !file.tune, met)) continue;
                check_shape(cell, file, costs);
                if (points.insert(cell.point).second) cells.push_back(std::move(cell));
            } catch (const UsageError& e) {
                faults.add(e.what());
            }
    }
    faults.throw_if_any(file.path.string());
    if (cells.empty())
        throw UsageError(
            fmt::format("{}: everything is excluded; nothing is left to run", file.path.string()));
    notes.insert(notes.end(), seen_notes.begin(), seen_notes.end());
    return cells;
}

SweepCell with_tuned(const SweepCell& cell, const std::vector<PlacedSetting>& tuned,
                     SweepCosts& costs) {
    std::vector<PlacedSetting> read;
    for (const PlacedSetting& s : tuned)
        if (reads(cell.config.config, s.key, costs)) read.push_back(s);
    SweepCell out = cell;
    out.config = with_settings(cell.config, read);
    for (const PlacedSetting& s : read) out.point[s.key] = value_of(out.config.config, s.key);
    return out;
}

std::vector<PlannedRun> runs_of(const SweepCell& cell, const std::string& stage,
                                const std::vector<long>& seeds, SweepCosts& costs) {
    PlannedRun run;
    run.variant = cell.variant;
    run.stage = stage;
    run.point = cell.point;
    run.config = cell.config.config;
    if (run.config.record.label.empty())
        run.config.record.label = cell.variant + words_of(cell.point, "=", " ");
    costs.fill(run);
    const std::string& data = costs.fingerprint(run.config);
    std::vector<PlannedRun> out;
    for (const long seed : seeds) {
        run.seed = run.config.train.seed = seed;
        run.id = run_id(run.config, data);
        out.push_back(run);
    }
    return out;
}

}  // namespace plumb
