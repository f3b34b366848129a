#include "cli/sweep_typed.h"

#include "config/config_toml.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWritten = "# Written by plumb sweep for typed settings.";

struct TypedSetting {
    std::string key;
    std::vector<std::string> values;  // TOML text
    std::vector<std::string> typed;
};

// key=value,value: a setting that takes a list of words has one value, the list.
TypedSetting parse_setting(const std::string& word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError(fmt::format(
            "command line: expected a sweep file or key=value,value, not '{}'; for example "
            "mixer=standard,attnres_block train.seed=1..5",
            word));
    TypedSetting out{word.substr(0, equals), {}, {}};
    if (out.key == "mixer") out.key = "mixer.name";
    const std::string value = word.substr(equals + 1);
    if (out.key == "train.seed") return {out.key, {value}, {value}};
    const auto all = fields();
    const auto field =
        std::find_if(all.begin(), all.end(), [&](const FieldInfo& f) { return f.key == out.key; });
    std::size_t at = 0;
    for (bool more = true; more;) {
        std::size_t comma = value.find(',', at);
        if (field != all.end() && field->type == "list") comma = std::string::npos;
        const SettingValue one =
            setting_value(out.key, value.substr(at, comma - at), "command line");
        out.key = one.key;
        out.values.push_back(one.text);
        out.typed.push_back(one.typed);
        more = comma != std::string::npos;
        at = comma + 1;
    }
    return out;
}

std::string in_quotes(const std::string& s) { return nlohmann::json(s).dump(); }

}  // namespace

void TypedSweep::add_to(CLI::App& command) {
    command
        .add_option("sweep", words,
                    "sweep file, or settings as key=value; several values make runs of each")
        ->required()
        ->type_name("FILE.toml|KEY=VALUE,...");
    command.add_option("-c,--config", config, "settings file under typed settings")
        ->type_name("FILE.toml");
    command
        .add_option("--baseline", baseline,
                    "variant that others are compared with, of typed settings")
        ->type_name("NAME");
    command
        .add_option("--margin", margin,
                    "smallest difference that matters, in nats, of typed settings")
        ->type_name("X");
    command.add_option("--hypothesis", hypothesis, "what typed settings are to find out")
        ->type_name("TEXT");
    command.add_option("--set", options.set, "setting over those of the base file")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    command.add_option("--scale", options.scale, "[scale.NAME] of the file, for example gpu")
        ->type_name("NAME");
    command.add_option("--only", options.only, "variants whose name matches, with * and ?")
        ->type_name("GLOB");
    command.add_option("--seeds", options.seeds, "these seeds only: 1,2 or 1..3")
        ->type_name("LIST");
    command.add_option("--out", options.out, "folder of the sweep (runs/NAME of the file)")
        ->type_name("DIR");
}

bool TypedSweep::inline_form() const {
    for (const std::string& word : words)
        if (words.size() > 1 && word.find('=') == std::string::npos && word.ends_with(".toml"))
            throw UsageError(
                fmt::format("settings over the sweep file {} are typed as --set KEY=VALUE", word));
    return words.size() != 1 || words.front().find('=') != std::string::npos;
}

fs::path TypedSweep::write_inline() const {
    if (options.out.empty())
        throw UsageError("typed settings need --out DIR, where the sweep file is written");
    std::string seeds = "1..5", variants, grid;
    std::vector<std::string> base;  // settings of one value
    for (const std::string& word : words) {
        const TypedSetting s = parse_setting(word);
        if (s.key == "train.seed") {
            seeds = s.typed.front();
            parse_seeds(seeds, "command line");
        } else if (s.key == "mixer.name") {
            for (std::size_t i = 0; i < s.values.size(); ++i)
                variants += fmt::format("\n[[variant]]\nname = {}\nmixer.name = {}\n",
                                        in_quotes(s.typed[i]), s.values[i]);
        } else if (s.values.size() == 1 && !s.key.starts_with("mixer.")) {
            base.push_back(word);
        } else {
            grid += fmt::format("{} = [{}]\n", s.key, fmt::join(s.values, ", "));
        }
    }
    const Config base_config = load_config(config, base).config;
    std::string name = baseline.starts_with("mixer=") ? baseline.substr(6) : baseline;
    // Its first comment would be the hypothesis: where there is none, it begins without.
    std::string text =
        hypothesis.empty() ? "" : fmt::format("# {}\n\n", printable_line(hypothesis));
    text +=
        fmt::format("[sweep]\n{}\nbase = \"base.toml\"\nseeds = {}\n", kWritten, in_quotes(seeds));
    if (!name.empty()) text += fmt::format("baseline = {}\n", in_quotes(name));
    if (margin > 0) text += fmt::format("margin = {}\n", margin);
    text += fmt::format("out = {}\n{}", in_quotes(options.out.string()), variants);
    if (!grid.empty()) text += "\n[grid]\n" + grid;
    const fs::path path = options.out / "sweep.toml";
    std::error_code ignored;
    if (fs::exists(path, ignored) && read_file(path).find(kWritten) == std::string::npos)
        throw UsageError(
            fmt::format("{} is a sweep file that somebody wrote; name it instead of "
                        "settings, or choose another --out",
                        path.string()));
    make_folder(options.out);
    write_file(options.out / "base.toml", to_toml(base_config));
    write_file(path, text);
    return path;
}

fs::path TypedSweep::file() const {
    if (inline_form()) return write_inline();
    if (!config.empty() || !baseline.empty() || margin != 0 || !hypothesis.empty())
        throw UsageError(
            "-c, --baseline, --margin and --hypothesis go with typed settings; a sweep "
            "file says them itself (base, baseline, margin, its first comment)");
    const fs::path path = words.front();
    std::error_code ignored;
    return fs::is_directory(path, ignored) ? path / "sweep.toml" : path;  // the folder of a sweep
}

SweepFile TypedSweep::read() const { return read_sweep_file(file(), options); }

std::string TypedSweep::command(const std::string& what) const {
    std::string out = "plumb sweep " + what;
    const fs::path path = inline_form() ? options.out / "sweep.toml" : fs::path(words.front());
    out += " " + shell_quoted(path.string());
    for (const std::string& s : options.set) out += " --set " + shell_quoted(s);
    if (!options.scale.empty()) out += " --scale " + shell_quoted(options.scale);
    if (!inline_form() && !options.out.empty())
        out += " --out " + shell_quoted(options.out.string());
    return out;
}

}  // namespace plumb
