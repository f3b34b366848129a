#include "cli/inspect_command.h"

#include "cli/run_folder.h"
#include "core/check.h"
#include "core/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

namespace plumb {
namespace fs = std::filesystem;

namespace {

constexpr const char* kInspectExamples = R"(Examples:
  plumb inspect runs/standard
  plumb inspect runs/standard runs/attnres --measure write_share
  plumb inspect runs/* --csv > depth.csv
)";

std::string cell(double x) { return std::isnan(x) ? "," : fmt::format(",{}", x); }

// As RFC 4180 has it.
std::string csv_text(const std::string& raw) {
    const std::string text = printable_line(raw);
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + '"';
}

std::string csv_line(const InspectedRun& run, std::size_t i) {
    const nlohmann::json& line = run.probe.depths[i];
    std::string out = fmt::format("{},{},{},{},{}", csv_text(run.name), run.probe.step,
                                  line["depth"].get<Index>(), csv_text(run.probe.text(i, "site")),
                                  csv_text(run.probe.text(i, "kind")));
    for (const Measure* m : measures_of(MeasurePlace::depth)) {
        if (m->field) out += cell(run.probe.number(i, m->key));
        const auto list = line.find(m->key);
        for (std::size_t k = 0; k < m->columns.size(); ++k)
            out += cell(list != line.end() && (*list)[k].is_number()
                            ? (*list)[k].get<double>()
                            : std::numeric_limits<double>::quiet_NaN());
    }
    return out + "\n";
}

}  // namespace

InspectedRun read_inspected_run(const fs::path& run, Index step) {
    require_run(run, "inspect");
    StoredProbe probe = read_stored_probe(run, step);
    return {run.string(), run_condition(run), std::move(probe)};
}

std::vector<const Measure*> chosen_measures(const InspectChoice& choice, std::size_t n_runs) {
    std::vector<const Measure*> out;
    std::vector<std::string> known;
    for (const Measure* m : measures_of(MeasurePlace::depth)) {
        if (!m->field) continue;
        known.push_back(m->key);
        const bool asked =
            std::find(choice.keys.begin(), choice.keys.end(), m->key) != choice.keys.end();
        const bool fits = m->comparable || n_runs == 1;
        if (choice.all || asked || (choice.keys.empty() && m->headline && fits)) out.push_back(m);
    }
    for (const std::string& key : choice.keys)
        if (std::find(known.begin(), known.end(), key) == known.end())
            throw UsageError(
                fmt::format("--measure {}: there are {}; `plumb list measures` says "
                            "what they are",
                            key, fmt::join(known, ", ")));
    return out;
}

std::string inspect_json(const std::vector<InspectedRun>& runs) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const InspectedRun& run : runs) {
        nlohmann::ordered_json summary = nlohmann::ordered_json::object();
        for (const Measure* m : measures_of(MeasurePlace::summary))
            if (m->summarise) summary[m->key] = m->summarise(run.probe.numbers(m->of));
        out.push_back({{"run", run.name},
                       {"status", run.condition.status},
                       {"step", run.probe.step},
                       {"summary", summary},
                       {"depths", run.probe.depths}});
    }
    using nlohmann::json;
    const auto whole = runs.size() == 1 ? out[0] : nlohmann::ordered_json{{"runs", out}};
    return whole.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
}

std::string inspect_csv(const std::vector<InspectedRun>& runs) {
    std::string out = "run,step,depth,site,kind";
    for (const Measure* m : measures_of(MeasurePlace::depth)) {
        if (m->field) out += "," + m->key;
        for (const std::string& column : m->columns) out += "," + column;
    }
    out += "\n";
    for (const InspectedRun& run : runs)
        for (std::size_t i = 0; i < run.probe.depths.size(); ++i) out += csv_line(run, i);
    return out;
}

void add_inspect_command(CLI::App& app) {
    struct Arguments {
        std::vector<std::string> runs;
        Index step = -1;
        InspectChoice choice;
        bool json = false, csv = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "inspect", "Runs by depth: shares, norms and gradients, as numbers and bars");
    command
        ->add_option("RUN", args->runs,
                     "Folders of runs, or a folder that holds runs; several are shown side by side")
        ->required();
    command->add_option("--step", args->step, "The probe of this step (default: the last)")
        ->check(CLI::NonNegativeNumber);
    command
        ->add_option("--measure", args->choice.keys,
                     "Show this one; may be repeated (`plumb list measures`)")
        ->type_name("MEASURE")
        ->allow_extra_args(false);
    command->add_flag("--all", args->choice.all,
                      "Show every measure, of several runs also those that only mean something "
                      "within one mixer");
    CLI::Option* as_json = command->add_flag("--json", args->json, "Print everything as JSON");
    command->add_flag("--csv", args->csv, "Print everything as CSV")->excludes(as_json);
    command->footer(kInspectExamples);
    command->callback([args] {
        std::vector<InspectedRun> runs;
        print_notes(for_each_run(typed_runs(args->runs), [&](const std::string& run) {
            runs.push_back(read_inspected_run(run, args->step));
        }));
        if (args->csv)  // which has no room for it
            for (const InspectedRun& run : runs) note_unfinished(run.name);
        const std::string text = args->json ? inspect_json(runs)
                                 : args->csv
                                     ? inspect_csv(runs)
                                     : inspect_text(runs, args->choice, Terminal::of(stdout));
        fmt::print("{}", printable(text));  // names and words are the files'
    });
}

}  // namespace plumb
