#include "cli/matrix_command.h"

#include "cli/matrix_text.h"
#include "cli/run_folder.h"
#include "config/config.h"
#include "core/check.h"
#include "model/interventions.h"
#include "train/checkpoint.h"

#include <memory>

namespace plumb {
namespace {

constexpr const char* kMatrixExamples = R"(Examples:
  plumb matrix runs/attnres
  plumb matrix runs/attnres@500 --row layer.3.mlp
  plumb matrix runs/mhc --json > mhc.json
  plumb matrix runs/mudd --way v

The map shows the share of every source in every read where the file has it (mixers can be compared
by it), else the weights M, as --weights does.
)";

struct Arguments {
    std::string run, row, way = "q";
    Index step = -1;
    MatrixView view;
    int top = -1;
    bool json = false;
};

MatrixFile read(const Arguments& args, const CheckpointName& name) {
    require_run(name.run, "matrix");
    note_unfinished(name.run);
    Index step = args.step;
    if (!name.which.empty()) {
        if (step >= 0) throw UsageError("--step: the step is given already, by " + args.run);
        step = name.which == "best" ? load_model(name).step() : std::stol(name.which);
    }
    int way = 0;
    while (args.way != way_name(way)) ++way;
    const auto path = find_step_file(
        name.run, "matrix", step, "runs have them when trained with record.probe_every=N, N > 0");
    return read_matrix_file(path, way);
}

// Of the run, which the file must fit.
Layout layout_of(const CheckpointName& name, const MatrixFile& file) {
    const Layout layout = load_run_config(name.run).model.layout();
    if (layout.sublayers() + 1 != file.mean.rows())
        throw IoError(fmt::format("{}: its config.toml has {} sublayers, its matrix is of {}",
                                  name.run.string(), layout.sublayers(), file.mean.rows() - 1));
    return layout;
}

void show(const Arguments& args) {
    const CheckpointName name = parse_checkpoint_name(args.run);
    const MatrixFile file = read(args, name);
    MatrixView view = args.view;
    if (args.top >= 0) view.top = args.top;
    if (args.json) {
        fmt::print("{}", matrix_json(file, view.tolerance));
    } else if (args.row.empty()) {
        fmt::print("{}", matrix_text(file, layout_of(name, file), view, Terminal::of(stdout)));
    } else {
        const Layout layout = layout_of(name, file);
        for (const int l : parse_reads(args.row, layout, "--row"))
            fmt::print("{}", matrix_row_text(file, layout, l, std::max(args.top, 0)));
    }
}

}  // namespace

void add_matrix_command(CLI::App& app) {
    auto args = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "matrix", "What every sublayer reads from which: heat map, shares, ranks, gain");
    command->add_option("RUN", args->run, "Folder of a run: RUN, RUN@STEP or RUN@best")->required();
    command->add_option("--step", args->step, "Of this step (default: the newest)")
        ->check(CLI::NonNegativeNumber);
    command->add_option("--row", args->row, "These reads in full: 1..L+1, layer.3.mlp, output")
        ->type_name("L");
    command->add_option("--top", args->top, "How many sources are named for a read (--row: all)")
        ->check(CLI::NonNegativeNumber);
    command
        ->add_option("--way", args->way,
                     "Of a mixer that reads for an attention's queries, keys and values apart: "
                     "which of these")
        ->check(CLI::IsMember({"q", "k", "v"}))
        ->type_name("q|k|v")
        ->capture_default_str();
    command->add_flag("--weights", args->view.weights, "The map shows M itself");
    command
        ->add_option("--tolerance", args->view.tolerance,
                     "Singular values above tolerance * largest count for a rank")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    command->add_flag("--json", args->json, "Print everything as JSON");
    command->footer(kMatrixExamples);
    command->callback([args] { show(*args); });
}

}  // namespace plumb
