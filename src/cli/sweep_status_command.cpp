#include "cli/sweep_status_command.h"

#include "cli/redrawn_block.h"
#include "cli/sweep_board.h"
#include "cli/terminal.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "sweep/file_end.h"
#include "sweep/sweep_file.h"
#include "sweep/sweep_status.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <thread>

namespace plumb {
namespace fs = std::filesystem;
namespace {

struct SweepStatusOptions {
    std::string file, out;
    bool watch = false, failed = false, json = false;
};

// The folder of a sweep, or of the sweep that a file stands for; on stderr, that the file says
// something else now than when the sweep was planned.
fs::path folder_of(const SweepStatusOptions& o) {
    std::error_code ignored;
    if (fs::is_directory(o.file, ignored)) return o.file;
    SweepOptions options;
    options.out = o.out;
    const SweepFile file = read_sweep_file(o.file, options);
    const fs::path planned = file.out / "sweep.toml";
    if (fs::exists(planned, ignored) && read_file(planned) != file.text)
        std::fprintf(stderr,
                     "plumb: %s has changed since its runs were planned; this is how it was. "
                     "`plumb sweep plan` shows what it stands for now\n",
                     printable_line(o.file).c_str());
    return file.out;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

// A row for each variant and stage; a column for each word that occurs.
std::string variants_text(const SweepStatus& status) {
    std::vector<std::pair<std::string, std::array<long, kRunWords>>> rows;
    std::array<long, kRunWords> all{};
    for (const StatusRun& run : status.runs) {
        const std::string name = run.variant + (run.stage == "tune" ? " (tuning)" : "");
        const auto at = std::find_if(rows.begin(), rows.end(),
                                     [&](const auto& row) { return row.first == name; });
        auto& row = at == rows.end() ? rows.emplace_back(name, std::array<long, kRunWords>{}) : *at;
        ++row.second[static_cast<std::size_t>(run.word)];
        ++all[static_cast<std::size_t>(run.word)];
    }
    std::vector<std::string> titles{"variant", ">runs"};
    for (int w = 0; w < kRunWords; ++w)
        if (all[static_cast<std::size_t>(w)] > 0)
            titles.push_back(std::string(">") + text_of(static_cast<RunWord>(w)));
    Table table(titles);
    const auto add = [&](const std::string& name, const std::array<long, kRunWords>& counts) {
        long sum = 0;
        for (const long n : counts) sum += n;
        std::vector<std::string> cells{name, std::to_string(sum)};
        for (std::size_t w = 0; w < counts.size(); ++w)
            if (all[w] > 0) cells.push_back(counts[w] > 0 ? std::to_string(counts[w]) : "-");
        table.add(cells);
    };
    for (const auto& [name, counts] : rows) add(name, counts);
    if (rows.size() > 1) add("all", all);
    return table.text();
}

// "9a0b0c9 (30 runs), 1f2e3d4 (6 runs)"
std::string counted(const SweepStatus& status, std::string RunOrigin::*what, std::size_t width) {
    std::map<std::string, long> counts;
    for (const StatusRun& run : status.runs)
        if (const std::string& name = run.origin.*what; !name.empty())
            ++counts[width > 0 ? name.substr(0, width) : name];
    std::vector<std::string> parts;
    for (const auto& [name, n] : counts)
        parts.push_back(fmt::format("{} ({} run{})", name, n, n == 1 ? "" : "s"));
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string remarks(const SweepStatus& status) {
    std::string text;
    for (const StatusPending& p : status.pending)
        text += fmt::format("pending: {} runs of {}, when its tuning has ended ({} of {})\n",
                            p.runs, p.group.empty() ? "all" : p.group, p.tune_ended, p.tune_runs);
    const auto outdated = std::count_if(status.runs.begin(), status.runs.end(),
                                        [](const StatusRun& run) { return run.outdated; });
    if (outdated > 0)
        text += fmt::format(
            "outdated: {} runs that this program would give other numbers (plumb list numerics); "
            "to make them again: plumb sweep run {} --rerun outdated\n",
            outdated, shell_quoted(status.folder.string()));
    if (status.orphans > 0)
        text += fmt::format("orphans: {} runs that the sweep file no longer stands for\n",
                            status.orphans);
    if (const std::string commits = counted(status, &RunOrigin::commit, 7); !commits.empty())
        text += fmt::format("made by: {}; {}\n", commits, counted(status, &RunOrigin::device, 0));
    return printable(text);
}

// Also runs that could not write that they failed.
std::string failed_text(const SweepStatus& status) {
    std::string text;
    for (const StatusRun& run : status.runs) {
        const fs::path dir = status.folder / run.dir;
        std::string why;
        if (run.word == RunWord::failed || run.word == RunWord::diverged)
            why = last_words(dir);
        else if (run.word == RunWord::culled)
            why = last_line(dir / kCulledName, 4096);
        else if (run.word == RunWord::fresh || run.word == RunWord::stopped)
            why = last_error(dir);
        if (why.empty() && run.word != RunWord::failed) continue;
        text += fmt::format("{} {}: {}\n  log: {}\n", text_of(run.word), run.dir, why,
                            (dir / kLogName).string());
    }
    return text.empty() ? "no run has failed, diverged or was culled\n" : printable(text);
}

std::string status_text(const SweepStatus& status, const std::string& file,
                        const Terminal& terminal) {
    std::string text;
    if (!status.hypothesis.empty()) text += printable_line(status.hypothesis) + "\n";
    for (const std::string& line : board_lines(snapshot_of(status), file, terminal))
        text += line + "\n";
    return text + variants_text(status) + remarks(status);
}

bool is_settled(const SweepStatus& status) {
    return status.pending.empty() &&
           std::all_of(status.runs.begin(), status.runs.end(),
                       [](const StatusRun& run) { return is_over(run.word); });
}

void watch(const SweepStatusOptions& o, const fs::path& folder) {
    const Terminal terminal = Terminal::of(stdout);
    RedrawnBlock block(stdout);
    while (true) {
        const SweepStatus status = read_status(folder);
        std::vector<std::string> lines = lines_of(status_text(status, o.file, terminal));
        for (std::string& line : lines) line = cut_to_width(line, terminal.width - 1);
        if (terminal.interactive)
            block.show(std::move(lines));
        else
            fmt::print("{}\n", printable_line(board_line(snapshot_of(status))));
        std::fflush(stdout);
        if (is_settled(status)) return;
        std::this_thread::sleep_for(std::chrono::seconds(terminal.interactive ? 2 : 30));
    }
}

void show_status(const SweepStatusOptions& o) {
    const fs::path folder = folder_of(o);
    if (o.watch) return watch(o, folder);
    const SweepStatus status = read_status(folder);
    if (o.json)
        fmt::print("{}\n", to_json(status).dump(1));
    else if (o.failed)
        fmt::print("{}", failed_text(status));
    else
        fmt::print("{}", status_text(status, o.file, Terminal::of(stdout)));
}

}  // namespace

void add_sweep_status(CLI::App& sweep) {
    auto o = std::make_shared<SweepStatusOptions>();
    CLI::App* command = sweep.add_subcommand("status", "How far the runs of a sweep are");
    command->add_option("sweep", o->file, "sweep file, or the folder of a sweep")
        ->required()
        ->type_name("FILE.toml|DIR");
    command->add_option("--out", o->out, "folder of the sweep (runs/NAME of the file)")
        ->type_name("DIR");
    command->add_flag("--watch", o->watch, "again every two seconds, until all runs have ended");
    command->add_flag(
        "--failed", o->failed,
        "runs that failed, diverged or were culled, with the last line of their logs");
    command->add_flag("--json", o->json, "everything, with a line for each run, as JSON");
    command->footer(
        R"(Reads files only: from any machine, also while the sweep runs.
running: a process is at it;
stopped: it was killed and can go on; interrupted: it wrote a checkpoint and can go on; busy
elsewhere: a process of another machine is at it; new: not begun; culled: stopped for its loss.
Examples:
  plumb sweep status blocks.toml
  plumb sweep status runs/blocks --failed
  plumb sweep status blocks.toml --watch
)");
    command->callback([o] { show_status(*o); });
}

}  // namespace plumb
