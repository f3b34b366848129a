#include "sweep/sweep_file.h"

#include "config/config_toml.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "data/token_files.h"
#include "run/run_lock.h"
#include "sweep/sweep_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <sstream>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr std::array kMatches{"tokens", "params", "flops", "time"};
constexpr const char* kDefaultMetric = "final_val_loss";
constexpr const char* kTestMetric = "final_test_loss";
const std::vector<std::string> kMetrics{kDefaultMetric, kTestMetric, "final_val_bpb",
                                        "last_val_loss"};
constexpr long kMostSeeds = 100'000;

// The first comment: lines that begin with '#', up to the first other line.
std::string first_comment(const std::string& text) {
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.ends_with('\r')) line.pop_back();
        const std::size_t start = line.find_first_not_of(" \t");
        if (start == std::string::npos && out.empty()) continue;
        if (start == std::string::npos || line[start] != '#') break;
        const std::size_t word = line.find_first_not_of("# \t", start);
        if (word != std::string::npos) out += (out.empty() ? "" : " ") + line.substr(word);
    }
    return out;
}

bool parse_long(std::string_view text, long& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

// ---- the tables --------------------------------------------------------------------------------

void read_sweep_table(SweepReader& r, SweepFile& file) {
    r.words("sweep", {"base", "seeds", "looks", "baseline", "metric", "margin", "match", "match_by",
                      "out", "lock", "reuse", "scale"});
    file.seeds = r.integers("sweep", "seeds", {1, 2, 3, 4, 5});
    file.looks = r.integers("sweep", "looks", {static_cast<long>(file.seeds.size())});
    file.baseline = r.text("sweep", "baseline", "");
    const bool test = has_test_split(file.base.config.data);
    file.metric = r.text("sweep", "metric", test ? kTestMetric : kDefaultMetric);
    file.margin = r.number("sweep", "margin", 0);
    file.match_by = r.text("sweep", "match_by", "");
    file.lock = r.text("sweep", "lock", "flock");
    file.out = r.text("sweep", "out", "runs/" + file.name);
    r.attempt([&] { parse_lock_kind(file.lock); });
    const std::string match = r.text("sweep", "match", "tokens");
    const auto found = std::find(kMatches.begin(), kMatches.end(), match);
    if (found == kMatches.end())
        r.fault("sweep", "match",
                fmt::format("match = \"{}\" is not one of {}", match, fmt::join(kMatches, ", ")));
    else
        file.match = static_cast<SweepMatch>(found - kMatches.begin());
    if (file.match_by.empty() && file.match != SweepMatch::tokens)
        file.match_by = file.match == SweepMatch::params ? "model.mlp_hidden" : "train.steps";
    if (file.metric == "best_val_loss")
        r.fault(
            "sweep", "metric",
            "metric = \"best_val_loss\" is the smallest of many noisy validations, lower the "
            "more there are: it chooses a checkpoint and compares nothing; take final_val_loss");
    else if (std::find(kMetrics.begin(), kMetrics.end(), file.metric) == kMetrics.end())
        r.fault("sweep", "metric",
                fmt::format("metric = \"{}\" is not one of {}{}", file.metric,
                            fmt::join(kMetrics, ", "), did_you_mean(file.metric, kMetrics)));
    if (!(file.margin >= 0 && file.margin < 1e6))
        r.fault("sweep", "margin", "margin must be a number of at least 0");
    if (r.has("sweep", "reuse"))
        r.fault("sweep", "reuse", "reuse is not there yet; copy or link the run folders");
}

void read_variants(SweepReader& r, SweepFile& file) {
    std::set<std::string> names;
    for (const toml::table* table : r.tables("variant")) {
        SweepVariant v{"", {}, r.place(*table)};
        const toml::node* name = table->get("name");
        if (name == nullptr || !name->is_string() || name->as_string()->get().empty()) {
            r.fault(v.where, "a [[variant]] needs a name, for example name = \"block4\"");
            continue;
        }
        v.name = name->as_string()->get();
        if (!names.insert(v.name).second)
            r.fault(v.where, fmt::format("two variants are called '{}'", v.name));
        v.settings = r.settings(*table, {"name"});
        file.variants.push_back(std::move(v));
    }
}

void read_conditions(SweepReader& r, SweepFile& file) {
    for (const toml::table* table : r.tables("when")) {
        const auto* condition = table->get_as<toml::table>("if");
        const auto* set = table->get_as<toml::table>("set");
        if (condition == nullptr || set == nullptr || table->size() != 2)
            r.fault(r.place(*table),
                    "a [[when]] has if = { KEY = VALUE } and set = { KEY = VALUE }, both tables");
        else
            file.when.push_back({r.axes(*condition, {}), r.settings(*set, {})});
    }
    for (const toml::table* table : r.tables("exclude")) file.exclude.push_back(r.axes(*table, {}));
}

void read_tune(SweepReader& r, SweepFile& file) {
    const toml::table* table = r.table("tune");
    if (table == nullptr) return;
    SweepTune tune;
    tune.axes = r.axes(*table, {"seeds", "per"});
    if (tune.axes.empty() && r.keys("tune", {"seeds", "per"}) == 0)
        r.fault("tune", "", "[tune] needs a key with the values to try, train.lr = [1e-3, 2e-3]");
    std::vector<long> default_seeds;
    for (std::size_t i = 0; i < file.seeds.size(); ++i)
        default_seeds.push_back(1001 + static_cast<long>(i));
    tune.seeds = r.integers("tune", "seeds", default_seeds);
    std::vector<std::string> known{"variant"};
    for (const auto* axes : {&file.grid, &file.zip})
        for (const SweepAxis& axis : *axes) known.push_back(axis.key);
    tune.per = r.texts("tune", "per", known);
    for (const std::string& key : tune.per)
        if (std::find(known.begin(), known.end(), key) == known.end())
            r.fault("tune", "per",
                    fmt::format("per: '{}' is neither \"variant\" nor a key of [grid] or [zip]{}",
                                key, did_you_mean(key, known)));
    for (const long seed : tune.seeds)
        if (std::find(file.seeds.begin(), file.seeds.end(), seed) != file.seeds.end())
            r.fault("tune", "seeds",
                    fmt::format("seed {} chooses and reports: a rate chosen on the seeds that are "
                                "reported makes false differences; take other seeds, or leave "
                                "tune.seeds out",
                                seed));
    file.tune = std::move(tune);
}

void read_cull(SweepReader& r, SweepFile& file) {
    if (r.table("cull") == nullptr) return;
    r.words("cull", {"at", "drop_above"});
    SweepCull cull{r.number("cull", "at", 0.25), r.number("cull", "drop_above", 2)};
    if (!(cull.at > 0 && cull.at < 1) || !(cull.drop_above > 0))
        r.fault("cull", "at", "[cull] needs 0 < at < 1 and drop_above > 0");
    file.cull = cull;
}

// ---- the whole ---------------------------------------------------------------------------------

// `mixer.name = [...]` in the grid names variants.
void name_variants(SweepReader& r, SweepFile& file) {
    const auto axis = std::find_if(file.grid.begin(), file.grid.end(),
                                   [](const SweepAxis& a) { return a.key == "mixer.name"; });
    if (axis != file.grid.end() && file.variants.empty()) {
        for (const SweepValue& v : axis->values)
            file.variants.push_back({v.typed, {{axis->key, v.typed, axis->where}}, axis->where});
        file.grid.erase(axis);
    }
    if (!file.variants.empty()) return;
    file.variants.push_back({file.base.config.mixer.name, {}, r.place_of_file()});
}

void check_keys(SweepReader& r, const SweepFile& file) {
    std::map<std::string, std::string> where;
    const auto claim = [&](const std::string& key, const std::string& place) {
        const auto [at, fresh] = where.emplace(key, place);
        if (!fresh)
            r.fault(place, fmt::format("{} is set at {} too; say it once", key, at->second));
    };
    for (const auto* axes : {&file.grid, &file.zip})
        for (const SweepAxis& axis : *axes) claim(axis.key, axis.where);
    if (file.tune)
        for (const SweepAxis& axis : file.tune->axes) claim(axis.key, axis.where);
    const std::map<std::string, std::string> of_axes = where;
    for (const SweepVariant& v : file.variants)
        for (const PlacedSetting& s : v.settings)
            if (const auto at = of_axes.find(s.key); at != of_axes.end())
                r.fault(s.where,
                        fmt::format("{} is set at {} too; say it once", s.key, at->second));
}

void check_whole(SweepReader& r, SweepFile& file) {
    std::vector<std::string> names;
    for (const SweepVariant& v : file.variants) names.push_back(v.name);
    if (file.baseline.empty() &&
        (names.size() == 1 || std::count(names.begin(), names.end(), "standard") == 1))
        file.baseline = names.size() == 1 ? names.front() : "standard";
    if (file.baseline.starts_with("mixer=")) file.baseline = file.baseline.substr(6);
    if (file.baseline.empty())
        r.fault("sweep", "baseline",
                fmt::format("[sweep] needs baseline = NAME, one of {}", fmt::join(names, ", ")));
    else if (std::find(names.begin(), names.end(), file.baseline) == names.end())
        r.fault("sweep", "baseline",
                fmt::format("baseline = \"{}\" is no variant; there are {}{}", file.baseline,
                            fmt::join(names, ", "), did_you_mean(file.baseline, names)));
    if (file.seeds.empty()) r.fault("sweep", "seeds", "seeds is empty");
    if (!std::is_sorted(file.looks.begin(), file.looks.end()) || file.looks.empty() ||
        std::adjacent_find(file.looks.begin(), file.looks.end()) != file.looks.end() ||
        file.looks.front() < 1)
        r.fault("sweep", "looks", "looks are numbers of seeds, ascending, for example [3, 5]");
    else if (file.looks.back() > static_cast<long>(file.seeds.size()))
        r.fault("sweep", "looks",
                fmt::format("a look at {} seeds, but there are {}; add seeds or take it out",
                            file.looks.back(), file.seeds.size()));
    check_keys(r, file);
}

// The copy in a sweep's own folder: base.toml beside it is what its base was, wherever that is now.
bool is_own_copy(const fs::path& path) {
    std::error_code ignored;
    return path.filename() == "sweep.toml" &&
           fs::exists(path.parent_path() / "plan.jsonl", ignored);
}

// The table of [scale.NAME], nullptr if none was asked for.
const toml::table* scale_table(SweepReader& r, const SweepFile& file) {
    if (file.scale.empty()) return nullptr;
    const toml::table* scales = r.table("scale");
    const toml::table* own = scales != nullptr ? scales->get_as<toml::table>(file.scale) : nullptr;
    if (own == nullptr) {
        std::vector<std::string> known;
        if (scales != nullptr)
            for (const auto& [name, ignored] : *scales) known.emplace_back(name.str());
        r.fault("sweep", "scale",
                fmt::format("there is no [scale.{}]{}; there are: {}", file.scale,
                            did_you_mean(file.scale, known),
                            known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
    }
    return own;
}

// Settings of the scale over the base, those of the command line over both.
void read_base(SweepReader& r, SweepFile& file, const toml::table* scale,
               const std::vector<std::string>& set) {
    std::string base = r.text("sweep", "base", "");
    const bool own_copy = is_own_copy(file.path);  // its base.toml has the scale
    if (own_copy) base = "base.toml";
    std::vector<PlacedSetting> settings;
    if (scale != nullptr && !own_copy) {
        toml::table plain = *scale;
        for (const char* lists : {"grid", "zip"}) plain.erase(lists);
        settings = r.settings(plain, {});
    }
    const fs::path base_file = base.empty() ? fs::path() : file.path.parent_path() / base;
    std::error_code ignored;
    if (!base.empty() && !fs::exists(base_file, ignored))
        return r.fault("sweep", "base",
                       fmt::format("base = \"{}\": there is no {} (relative to the sweep file)",
                                   base, base_file.string()));
    r.attempt([&] {
        for (const std::string& word : set) {
            const std::size_t equals = word.find('=');
            if (equals == std::string::npos || equals == 0)
                throw UsageError(fmt::format("--set: expected key=value, not '{}'", word));
            settings.push_back({word.substr(0, equals), word.substr(equals + 1), "--set"});
        }
        file.base = with_settings(load_config(base_file, {}), settings);
    });
}

// The file's text with its scale said: what a sweep's folder keeps.
std::string with_scale(SweepReader& r, const SweepFile& file) {
    const std::string line = fmt::format("scale = {}", nlohmann::json(file.scale).dump());
    const bool there = r.has("sweep", "scale");
    const long at = there ? r.line("sweep", "scale") : r.line("sweep", "");
    std::string out;
    std::istringstream lines(file.text);
    long n = 1;
    for (std::string text; std::getline(lines, text); ++n) {
        if (n != at || !there) out += text + "\n";
        if (n == at) out += line + "\n";
    }
    return out;
}

// Lists of the scale stand for those of the same keys.
void read_axes(SweepReader& r, SweepFile& file, const toml::table* scale) {
    for (const auto& [name, axes] : {std::pair{"grid", &file.grid}, {"zip", &file.zip}}) {
        if (const toml::table* table = r.table(name)) *axes = r.axes(*table, {});
        const toml::table* own = scale == nullptr ? nullptr : scale->get_as<toml::table>(name);
        if (own == nullptr) continue;
        for (SweepAxis& axis : r.axes(*own, {})) {
            const auto at = std::find_if(axes->begin(), axes->end(),
                                         [&](const SweepAxis& a) { return a.key == axis.key; });
            if (at == axes->end())
                r.fault(axis.where,
                        fmt::format("[{}] has no {} for the scale to replace", name, axis.key));
            else
                *at = std::move(axis);
        }
    }
    for (const SweepAxis& axis : file.zip)
        if (axis.values.size() != file.zip.front().values.size())
            r.fault(axis.where,
                    fmt::format("[zip] lists move together: {} has {} values, {} has {}", axis.key,
                                axis.values.size(), file.zip.front().key,
                                file.zip.front().values.size()));
}

}  // namespace

const char* name_of(SweepMatch match) { return kMatches.at(static_cast<std::size_t>(match)); }

std::vector<long> parse_seeds(const std::string& text, const std::string& where) {
    std::vector<long> out;
    std::string_view rest = text;
    for (bool more = true; more;) {
        const std::size_t comma = rest.find(',');
        const std::string_view piece = rest.substr(0, comma);
        const std::size_t dots = piece.find("..");
        long first = 0, last = 0;
        const bool ok = parse_long(piece.substr(0, dots), first) &&
                        (dots == piece.npos ? ((last = first), true)
                                            : parse_long(piece.substr(dots + 2), last));
        if (!ok || first < 0 || last < first || last - first >= kMostSeeds)
            throw UsageError(
                fmt::format("{}: seeds '{}' are not a list such as 1..5 or 1,2,7..9", where, text));
        for (long seed = first; seed <= last; ++seed) out.push_back(seed);
        more = comma != rest.npos;
        if (more) rest = rest.substr(comma + 1);
    }
    std::vector<long> sorted = out;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        throw UsageError(fmt::format("{}: seeds '{}' name one twice", where, text));
    return out;
}

SweepFile read_sweep_file(const fs::path& path, const SweepOptions& options) {
    SweepFile file;
    file.path = path;
    file.name = path.stem().string();
    file.text = read_file(path);
    file.hypothesis = first_comment(file.text);
    SweepReader r(path);
    const std::string default_scale = r.text("sweep", "scale", "");
    file.scale = options.scale.empty() ? default_scale : options.scale;
    const toml::table* scale = scale_table(r, file);
    read_base(r, file, scale, options.set);
    read_sweep_table(r, file);
    if (file.scale != default_scale) {
        file.out += "-" + file.scale;
        file.text = with_scale(r, file);
    }
    read_variants(r, file);
    read_axes(r, file, scale);
    read_conditions(r, file);
    name_variants(r, file);
    read_tune(r, file);
    read_cull(r, file);
    check_whole(r, file);
    if (is_own_copy(path)) file.out = path.parent_path().empty() ? "." : path.parent_path();
    if (!options.out.empty()) file.out = options.out;
    file.only = options.only;
    r.attempt([&] {
        if (!options.seeds.empty()) file.only_seeds = parse_seeds(options.seeds, "--seeds");
    });
    r.throw_faults();
    return file;
}

}  // namespace plumb
