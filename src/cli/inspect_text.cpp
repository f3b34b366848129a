// The tables of `plumb inspect`.
#include "cli/inspect_command.h"
#include "core/check.h"
#include "core/text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace plumb {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A column of a table: a measure of a run.
struct Column {
    std::string title;
    const InspectedRun* run;
    const Measure* measure;
};

// A row: the same site in every run. The output comes last, however deep a run is.
struct Row {
    Index depth;
    bool output;
    std::string site;
};

bool before(const Row& a, const Row& b) {
    return a.output != b.output ? b.output : a.depth < b.depth;
}

std::vector<Row> rows_of(const std::vector<InspectedRun>& runs) {
    std::vector<Row> rows;
    for (const InspectedRun& run : runs)
        for (std::size_t i = 0; i < run.probe.depths.size(); ++i) {
            const Row row{run.probe.depths[i]["depth"].get<Index>(),
                          run.probe.text(i, "kind") == "output",
                          printable_line(run.probe.text(i, "site"))};
            const bool known = std::any_of(rows.begin(), rows.end(), [&](const Row& r) {
                return !before(r, row) && !before(row, r);
            });
            if (!known) rows.push_back(row);
        }
    std::sort(rows.begin(), rows.end(), before);
    return rows;
}

double number_at(const Column& column, const Row& row) {
    const StoredProbe& probe = column.run->probe;
    for (std::size_t i = 0; i < probe.depths.size(); ++i) {
        const bool output = probe.text(i, "kind") == "output";
        if (row.output ? output : !output && probe.depths[i]["depth"] == row.depth)
            return probe.number(i, column.measure->key);
    }
    return kNaN;
}

// Columns side by side in one table, and how wide their bars are. All columns are shown; a narrow
// terminal gets more tables.
struct ColumnLayout {
    std::size_t per_table;
    int bar_width;
};

ColumnLayout fit(int width, std::span<const Column> columns, int labels) {
    constexpr int kBar = 7, kMaxBar = 16;  // shortest and longest bar
    int number = 10;                       // short_number's columns
    for (const Column& c : columns) number = std::max(number, display_width(c.title));
    number += 4;  // the gaps around it
    const int n = std::clamp((width - labels) / (number + kBar), 1,
                             std::max(1, static_cast<int>(columns.size())));
    return {static_cast<std::size_t>(n), std::clamp((width - labels) / n - number, 0, kMaxBar)};
}

// Bars are relative to the largest size of the table's rows: in all its columns if they are of one
// measure, else in each.
std::string table_text(const std::vector<Row>& rows, std::span<const Column> columns, double scale,
                       int bar_width, const Terminal& terminal) {
    std::vector<std::string> titles{">depth", "site"};
    for (const Column& c : columns) titles.insert(titles.end(), {">" + c.title, ""});
    Table table(titles);
    for (const Row& row : rows) {
        std::vector<std::string> cells{fmt::format("{}", row.depth), row.site};
        for (const Column& c : columns) {
            double largest = scale;
            if (!(scale > 0))
                for (const Row& r : rows) largest = std::fmax(largest, std::abs(number_at(c, r)));
            const double x = number_at(c, row);
            cells.push_back(short_number(x));
            cells.push_back(signed_bar(x / largest, bar_width, terminal));
        }
        table.add(cells);
    }
    return table.text();
}

std::string legend(const Measure& m) {
    return fmt::format("  {}: {}{}\n", m.key, m.name,
                       m.unit == "1" ? "" : fmt::format(" ({})", m.unit));
}

int label_width(const std::vector<Row>& rows) {
    int site = 4;
    for (const Row& r : rows) site = std::max(site, display_width(r.site));
    return 5 + 2 + site;
}

// One run: measures side by side, comparable ones first.
std::string measures_side_by_side(const InspectedRun& run,
                                  const std::vector<const Measure*>& measures, bool comparable,
                                  const Terminal& terminal) {
    std::vector<Column> columns;
    for (const Measure* m : measures)
        if (m->comparable == comparable) columns.push_back({m->key, &run, m});
    if (columns.empty()) return "";
    const std::vector<Row> rows = rows_of({run});
    const ColumnLayout layout = fit(terminal.width, columns, label_width(rows));
    std::string out = comparable ? "Comparable between mixers\n\n"
                                 : "This mixer only: these change with how a mixer keeps its "
                                   "books\n\n";
    const std::span all(columns);
    for (std::size_t i = 0; i < all.size(); i += layout.per_table) {
        const auto some = all.subspan(i, std::min(layout.per_table, all.size() - i));
        out += table_text(rows, some, 0, layout.bar_width, terminal);
        for (const Column& c : some) out += legend(*c.measure);
        out += "\n";
    }
    return out;
}

// Last parts of the names if they differ, else the whole names.
std::vector<std::string> short_names(const std::vector<InspectedRun>& runs) {
    std::vector<std::string> out;
    for (const InspectedRun& run : runs) {
        const std::string trimmed = run.name.substr(0, run.name.find_last_not_of('/') + 1);
        out.push_back(printable_line(std::filesystem::path(trimmed).filename().string()));
    }
    for (const std::string& name : out)
        if (name.empty() || std::count(out.begin(), out.end(), name) > 1) {
            out.clear();
            for (const InspectedRun& run : runs) out.push_back(printable_line(run.name));
            break;
        }
    return out;
}

// Several runs: for each measure, the runs side by side.
std::string runs_side_by_side(const std::vector<InspectedRun>& runs, const Measure& m,
                              const Terminal& terminal) {
    const std::vector<std::string> names = short_names(runs);
    std::vector<Column> columns;
    for (std::size_t r = 0; r < runs.size(); ++r) columns.push_back({names[r], &runs[r], &m});
    const std::vector<Row> rows = rows_of(runs);
    double largest = 0;
    for (const Column& c : columns)
        for (const Row& r : rows) largest = std::fmax(largest, std::abs(number_at(c, r)));
    const ColumnLayout layout = fit(terminal.width, columns, label_width(rows));
    std::string out = m.key + (m.comparable ? "" : " (this mixer only: do not compare)") + "\n";
    const std::span all(columns);
    for (std::size_t i = 0; i < all.size(); i += layout.per_table)
        out += table_text(rows, all.subspan(i, std::min(layout.per_table, all.size() - i)), largest,
                          layout.bar_width, terminal);
    return out + legend(m) + "\n";
}

// The numbers that one probe has as a whole.
std::string summaries(const std::vector<InspectedRun>& runs, bool all) {
    std::string out;
    for (const Measure* m : measures_of(MeasurePlace::summary)) {
        if (!m->summarise || (!m->comparable && runs.size() > 1 && !all)) continue;
        std::vector<std::string> values;
        for (const InspectedRun& run : runs) {
            const double x = m->summarise(run.probe.numbers(m->of));
            values.push_back(std::isfinite(x) ? fmt::format("{:.4g}", x) : "-");
        }
        out += fmt::format("{}: {}\n", m->key, fmt::join(values, " "));
    }
    return out;
}

std::string heading(const std::vector<InspectedRun>& runs) {
    std::string out;
    for (const InspectedRun& run : runs) {
        const std::string state = unfinished_text(run.name, run.condition);
        out += fmt::format("{}: step {}{}\n", printable_line(run.name), run.probe.step,
                           state.empty() ? "" : "; not finished: " + state);
    }
    return out + "\n";
}

std::string bar_legend(const char* scope, const Terminal& terminal) {
    return fmt::format("Full bar: largest size of its {}; {} is negative.\n\n", scope,
                       signed_bar(-1, 2, terminal));
}

}  // namespace

std::string inspect_text(const std::vector<InspectedRun>& runs, const InspectChoice& choice,
                         const Terminal& terminal) {
    const auto measures = chosen_measures(choice, runs.size());
    std::string out = heading(runs);
    if (runs.size() == 1) {
        out += bar_legend("column", terminal);
        for (const bool comparable : {true, false})
            out += measures_side_by_side(runs[0], measures, comparable, terminal);
    } else {
        out += bar_legend("table", terminal);
        for (const Measure* m : measures) out += runs_side_by_side(runs, *m, terminal);
    }
    out += summaries(runs, choice.all);
    return out + "`plumb list measures` says what these are.\n";
}

}  // namespace plumb
