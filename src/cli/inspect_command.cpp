#include "cli/inspect_command.h"

#include "cli/run_folder.h"
#include "core/check.h"
#include "record/jsonl.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <span>

namespace plumb {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kExamples = R"(Examples:
  plumb inspect runs/standard
  plumb inspect runs/attnres --step 500
  plumb inspect runs/attnres --csv > attnres.csv
)";

// The numbers of a depth, in the order they are shown.
struct Measure {
    const char* key;
    const char* meaning;
};
constexpr std::array kMeasures{
    Measure{"read_rms", "what the sublayer reads"},
    Measure{"out_rms", "what it puts out"},
    Measure{"contribution", "|output| / |read|"},
    Measure{"dout_rms", "gradient of its output"},
    Measure{"pgrad_rms", "gradient of its parameters"},
    Measure{"cosine", "of this and the previous read"},
    Measure{"stream_rms", "the mixer's state after it"},
    Measure{"dread_rms", "gradient of its read, through it alone"},
};

// NaN where a depth has no such number.
double number(const json& depth, const char* key) {
    const auto it = depth.find(key);
    return it != depth.end() && it->is_number() ? it->get<double>()
                                                : std::numeric_limits<double>::quiet_NaN();
}

std::string word(const json& depth, const char* key) {
    const auto it = depth.find(key);
    return it != depth.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

DepthProbe read_depth_probe(const fs::path& run, Index step) {
    const fs::path path = run / "depth.jsonl";
    std::error_code ignored;
    if (!fs::exists(path, ignored))
        throw IoError(
            fmt::format("{} does not exist; runs have it when trained with "
                        "record.probe_every=N, N > 0",
                        path.string()));
    std::vector<json> lines = read_jsonl(path);
    std::set<Index> steps;
    for (const json& line : lines) {
        if (!line.contains("step") || !line["step"].is_number_integer() ||
            !line.contains("depth") || !line["depth"].is_number_integer())
            throw IoError(path.string() + " has lines without step and depth; is it from a run?");
        steps.insert(line["step"].get<Index>());
    }
    if (steps.empty())
        throw IoError(path.string() + " is empty: the run has not reached its first probe yet");
    DepthProbe out{step < 0 ? *steps.rbegin() : step, {}};
    if (steps.count(out.step) == 0)
        throw IoError(fmt::format("{} has no step {}; it has {}", path.string(), step,
                                  fmt::join(steps, ", ")));
    for (json& line : lines)
        if (line["step"].get<Index>() == out.step) out.depths.push_back(std::move(line));
    std::stable_sort(out.depths.begin(), out.depths.end(), [](const json& a, const json& b) {
        return a["depth"].get<Index>() < b["depth"].get<Index>();
    });
    return out;
}

namespace {

double largest(const DepthProbe& probe, const char* key) {
    double out = 0;
    for (const json& depth : probe.depths) {
        const double x = number(depth, key);
        if (x > out) out = x;
    }
    return out;
}

// Measures side by side in one table, and how wide their bars are. All measures are shown; a narrow
// terminal gets more tables.
struct Layout {
    std::size_t per_table;
    int bar_width;
};

Layout fit(int width) {
    constexpr int kLabels = 5 + 2 + 14;    // depth and site
    constexpr int kNumber = 2 + 12 + 2;    // the longest title, with the gaps around it
    constexpr int kBar = 7, kMaxBar = 16;  // shortest and longest bar
    constexpr int kAll = static_cast<int>(kMeasures.size());
    const int n = std::clamp((width - kLabels) / (kNumber + kBar), 1, kAll);
    return {static_cast<std::size_t>(n), std::clamp((width - kLabels) / n - kNumber, 0, kMaxBar)};
}

std::string table_text(const DepthProbe& probe, std::span<const Measure> measures, int bar_width,
                       const Terminal& terminal) {
    std::vector<std::string> titles{">depth", "site"};
    for (const Measure& m : measures) titles.insert(titles.end(), {std::string(">") + m.key, ""});
    Table table(titles);
    for (const json& depth : probe.depths) {
        std::vector<std::string> row{fmt::format("{}", depth["depth"].get<Index>()),
                                     word(depth, "site")};
        for (const Measure& m : measures) {
            const double x = number(depth, m.key);
            row.push_back(short_number(x));
            row.push_back(bar(x / largest(probe, m.key), bar_width, terminal));
        }
        table.add(row);
    }
    std::string out = table.text();
    for (const Measure& m : measures) out += fmt::format("  {}: {}\n", m.key, m.meaning);
    return out + "\n";
}

// First depth with a number / last depth with one.
double growth(const DepthProbe& probe, const char* key) {
    double first = std::numeric_limits<double>::quiet_NaN(), last = first;
    for (const json& depth : probe.depths) {
        const double x = number(depth, key);
        if (std::isnan(x)) continue;
        if (std::isnan(first)) first = x;
        last = x;
    }
    return last / first;
}

std::string summary(const DepthProbe& probe) {
    std::string out;
    const auto line = [&out](const char* key, double value) {
        if (std::isfinite(value)) out += fmt::format("{}: {:.4g}\n", key, value);
    };
    line("read_rms_last_over_first", growth(probe, "read_rms"));
    line("dout_rms_last_over_first", growth(probe, "dout_rms"));
    double smallest = std::numeric_limits<double>::infinity();
    for (const json& depth : probe.depths) {
        const double x = number(depth, "contribution");
        if (x < smallest) smallest = x;
    }
    line("smallest_contribution", smallest);
    return out + fmt::format("step: {}\ndepths: {}\n", probe.step, probe.depths.size());
}

}  // namespace

std::string inspect_text(const DepthProbe& probe, const Terminal& terminal) {
    const Layout layout = fit(terminal.width);
    const std::span all(kMeasures);
    std::string out = "A full bar is the largest of its column.\n\n";
    for (std::size_t i = 0; i < all.size(); i += layout.per_table)
        out += table_text(probe, all.subspan(i, std::min(layout.per_table, all.size() - i)),
                          layout.bar_width, terminal);
    return out + summary(probe);
}

std::string inspect_json(const DepthProbe& probe) {
    const nlohmann::ordered_json out{{"step", probe.step}, {"depths", probe.depths}};
    return out.dump(2) + "\n";
}

std::string inspect_csv(const DepthProbe& probe) {
    constexpr std::array quantiles{"p5", "p25", "p50", "p75", "p95", "max"};
    std::string out = "step,depth,site,kind";
    for (const Measure& m : kMeasures) out += fmt::format(",{}", m.key);
    for (const char* q : quantiles) out += fmt::format(",pgrad_{}", q);
    out += "\n";
    const auto cell = [](double x) { return std::isnan(x) ? "," : fmt::format(",{}", x); };
    for (const json& depth : probe.depths) {
        out += fmt::format("{},{},{},{}", probe.step, depth["depth"].get<Index>(),
                           word(depth, "site"), word(depth, "kind"));
        for (const Measure& m : kMeasures) out += cell(number(depth, m.key));
        const json list = depth.value("pgrad_q", json::array());
        for (std::size_t q = 0; q < quantiles.size(); ++q)
            out += cell(q < list.size() && list[q].is_number()
                            ? list[q].get<double>()
                            : std::numeric_limits<double>::quiet_NaN());
        out += "\n";
    }
    return out;
}

void add_inspect_command(CLI::App& app) {
    struct Arguments {
        std::string run;
        Index step = -1;
        bool json = false, csv = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "inspect", "A run by depth: norms, contribution and gradients, as numbers and bars");
    command->add_option("RUN", args->run, "Folder of a run")->required();
    command->add_option("--step", args->step, "The probe of this step (default: the last)")
        ->check(CLI::NonNegativeNumber);
    CLI::Option* as_json = command->add_flag("--json", args->json, "Print the probe as JSON");
    command->add_flag("--csv", args->csv, "Print the probe as CSV")->excludes(as_json);
    command->footer(kExamples);
    command->callback([args] {
        require_run(args->run, "inspect");
        const DepthProbe probe = read_depth_probe(args->run, args->step);
        fmt::print("{}", args->json  ? inspect_json(probe)
                         : args->csv ? inspect_csv(probe)
                                     : inspect_text(probe, Terminal::of(stdout)));
    });
}

}  // namespace plumb
