#include "cli/compare_command.h"

#include "cli/python_package.h"

#include <memory>
#include <string>
#include <vector>

namespace plumb {
namespace {

constexpr const char* kCompareExamples = R"(Examples:
  plumb compare runs/blocks
  plumb compare runs/standard-s* runs/mhc-s* --margin 0.005
  plumb compare runs/blocks --by model.layers --latex > table.tex

The unit is the seed: differences are paired by seed, their
95 % intervals are Student's t, p is adjusted by Holm over the
rows that share a baseline. Verdicts: better, worse, same
within the margin, no worse than the margin, or not resolved
and how many more seeds would do. Runs that diverged are
counted and never scored; what is left out is named.
)";

constexpr const char* kReportExamples = R"(Examples:
  plumb report runs/blocks -o report
  plumb report runs/standard-s* runs/mhc-s* -o report
  plumb report --gallery report1 report2 -o gallery

One page, readable offline and without scripts, with the
answer first; beside it the figures, their CSV, and how to
repeat it.
)";

constexpr const char* kFiguresExamples = R"(Examples:
  plumb figures runs/demo -o figures
  plumb figures runs/block-s* runs/standard-s* -o figures
  plumb figures runs/demo -o figures --figures forest,matrix

Loss with intervals, shares, gradients, M: SVG, PNG and the
CSV behind each.
)";

// The options of a command as they were typed, for a program that reads them again.
std::vector<std::string> options_of(const CLI::App& command) {
    std::vector<std::string> words{command.get_name()};
    for (const CLI::Option* o : command.get_options()) {
        if (o->count() == 0 || o->get_lnames().empty()) continue;
        const std::string name = "--" + o->get_lnames().front();
        if (o->get_items_expected_max() == 0)
            words.push_back(name);
        else
            for (const std::string& value : o->results()) words.push_back(name + "=" + value);
    }
    return words;
}

// Values are read by the Python part; here an option has a name, a value's name and a text.
CLI::Option* option(CLI::App* command, const std::string& names, const std::string& value,
                    const std::string& text) {
    return command->add_option(names, text)->type_name(value);
}

CLI::Option* flag(CLI::App* command, const std::string& names, const std::string& text) {
    return command->add_flag(names, text);
}

CLI::App* add(CLI::App& app, const std::string& name, const std::string& text,
              const std::string& footer, const std::string& folders,
              const std::vector<std::string>& modules) {
    CLI::App* command = app.add_subcommand(name, text);
    auto given = std::make_shared<std::vector<std::string>>();
    command->add_option("DIR", *given, folders)->required();
    command->footer(footer);
    command->callback([command, given, modules] {
        std::vector<std::string> words = options_of(*command);
        words.emplace_back("--");  // folders may be named like options
        words.insert(words.end(), given->begin(), given->end());
        become_python(words, modules);
    });
    return command;
}

}  // namespace

void add_compare_command(CLI::App& app) {
    CLI::App* c =
        add(app, "compare", "Variants against a baseline: differences, intervals, verdicts",
            kCompareExamples, "A sweep's file or folder, or folders of runs", {"numpy", "scipy"});
    option(c, "--baseline", "NAME", "Variant the others are compared with");
    option(c, "--metric", "NAME", "A number of summary.json; after a comma: exploratory ones");
    option(c, "--margin", "X", "Smallest difference that matters");
    option(c, "--by", "KEYS", "Keys of the grid that rows keep apart (default: all)");
    option(c, "--at", "AXIS=X", "The validation curve at tokens=N, time=SECONDS or flops=N");
    option(c, "--to-loss", "LOSS", "Loss that curves have to reach");
    option(c, "--family", "baseline|all", "p is adjusted over rows of one baseline, or all rows");
    flag(c, "--pool", "Also the interval that pools the noise of all arms");
    flag(c, "--all", "Also runs that the sweep file no longer has");
    flag(c, "--strict", "Exit 1 if commits or devices of a pair differ");
    const std::vector<CLI::Option*> forms{
        flag(c, "--json", "Everything, as JSON"),
        flag(c, "--csv", "One row a variant, in full precision"),
        flag(c, "--markdown", "The table for a page"),
        flag(c, "--latex", "The table for a paper (booktabs)"),
    };
    for (CLI::Option* one : forms)
        for (CLI::Option* other : forms)
            if (one != other) one->excludes(other);
    option(c, "--width", "N", "Columns of the text");
    flag(c, "-q,--quiet", "No progress on standard error");
}

void add_report_command(CLI::App& app) {
    CLI::App* c = add(app, "report", "One page that answers: table, figures, how to repeat it",
                      kReportExamples,
                      "A sweep's file or folder, or folders of runs; of reports with --gallery",
                      {"numpy", "scipy", "matplotlib"});
    option(c, "-o,--out", "OUT", "Where the page goes; made if absent")->required();
    flag(c, "--gallery", "One page over several reports");
    option(c, "--title", "HEADING", "Heading of the page (default: the sweep's question)");
    option(c, "--baseline", "NAME", "Variant the others are compared with");
    option(c, "--metric", "NAME", "What is compared");
    option(c, "--margin", "X", "Smallest difference that matters");
    flag(c, "--no-figures", "The page alone");
    flag(c, "-q,--quiet", "No progress on standard error");
}

void add_figures_command(CLI::App& app) {
    CLI::App* c =
        add(app, "figures", "Figures and tables from run folders: SVG, PNG, CSV", kFiguresExamples,
            "Run folders, or folders of them", {"numpy", "scipy", "matplotlib"});
    option(c, "-o,--out", "OUT", "Where figures and tables go; made if absent")->required();
    option(c, "--title", "HEADING", "First words of every heading");
    option(c, "--baseline", "LABEL", "Variant or mixer the differences are taken to");
    option(c, "--without", "REGEX", "Variants to leave out: those whose label has this in it");
    option(c, "--figures", "NAMES", "These alone; `table` is results.csv and results.md");
    option(c, "--reference", "FILE", "JSON with a paper's Fig. 5 values");
    flag(c, "-q,--quiet", "No progress on standard error");
}

}  // namespace plumb
