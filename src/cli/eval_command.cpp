#include "cli/eval_command.h"

#include "cli/device_option.h"
#include "cli/run_folder.h"
#include "cli/terminal.h"
#include "cli/trained_run.h"
#include "core/text.h"
#include "run/evaluation.h"
#include "run/run_directory.h"

#include <cmath>
#include <memory>
#include <set>

namespace plumb {
namespace {

constexpr const char* kEvalExamples = R"(Examples:
  plumb eval runs/first runs/second@500 runs/third@best
  plumb eval runs/block-s1 runs/block-s2 runs/block-s3 --drop all
  plumb eval runs/block --mask embed --controls 20
  plumb eval runs/block --device cuda

Every token of the split is scored once; losses are in nats
per token. Sublayers are numbers 1..L (0: the embedding),
ranges 3-6, or names: layer.0.mlp, layer.0.
  --drop L      v_L := 0
  --gain L=G    v_L := G v_L
  --mask I      M[l,I] := 0 in all reads; l:I: in read l
  --swap A,B    A runs where B stood, and B where A stood
Whatever the mixer computes from the outputs follows a drop,
gain or swap; a mask changes what reads hand on and nothing
else. Runs that differ in their seeds alone are one row of
means with 95 % t intervals; a delta is the loss with a
change less the loss without.
)";

struct EvalOptions {
    std::vector<std::string> runs;
    std::string data, split = "val", device = "cpu";
    InterventionOptions change;
    Index sequences = 0;
    int threads = 0;
    bool json = false;
};

RunScore score(const EvalOptions& o, const std::string& text, const Context& ctx,
               const std::function<void(double)>& progress) {
    const TrainedRun run = open_trained_run(text, "eval");
    const auto data =
        open_run_data(run, o.data, o.split == "test" ? EvalSplit::test : EvalSplit::val);
    const auto model = make_model({run.config.model, run.config.mixer, run.vocab(),
                                   run.config.train.batch, ctx.threads, 0, ctx.device},
                                  run.config.train.precision);
    const std::vector<Intervention> changes = interventions(o.change, model->layout());
    model->allocate(1);
    restore_weights(run, model->params());
    RunScore out{text, run.step(), run.config, {}, {}, {}};
    score_run(ctx, *model, *data, changes, o.sequences, progress, out);
    return out;
}

std::string with_interval(const MeanInterval& m, const char* sign) {
    const std::string mean =
        sign[0] ? fmt::format("{:+.5f}", m.mean) : fmt::format("{:.5f}", m.mean);
    return std::isnan(m.half_width) ? mean : fmt::format("{} ±{:.5f}", mean, m.half_width);
}

std::string runs_table(const std::vector<RunScore>& runs) {
    Table table({"run", ">step", "mixer", ">seed", ">tokens", ">loss", ">bits/byte"});
    for (const RunScore& r : runs)
        table.add({printable_line(r.run), thousands(r.step), printable_line(run_label(r.config)),
                   std::to_string(r.config.train.seed), thousands(r.score.tokens),
                   fmt::format("{:.5f}", r.score.loss),
                   r.bits_per_byte ? fmt::format("{:.5f}", *r.bits_per_byte) : ""});
    return table.text();
}

std::string groups_table(const std::vector<SeedGroup>& groups) {
    Table table({"mixer", ">n", ">loss", ">bits/byte"});
    for (const SeedGroup& g : groups)
        table.add({printable_line(g.label), std::to_string(g.runs.size()),
                   with_interval(g.loss, ""),
                   g.bits_per_byte ? with_interval(*g.bits_per_byte, "") : ""});
    return table.text();
}

// Of a group: mean and interval where it has several seeds; controls over all its runs and draws.
std::string changes_table(const SeedGroup& g, int n_controls) {
    std::vector<std::string> titles{"change", ">loss", ">delta"};
    if (n_controls > 0) titles.insert(titles.end(), {">random", ">sd", ">as large"});
    Table table(titles);
    for (std::size_t k = 0; k < g.deltas.size(); ++k) {
        const MeanInterval& d = g.deltas[k];
        std::vector<std::string> row{g.runs.front()->changes[k].name,
                                     fmt::format("{:.5f}", g.loss.mean + d.mean),
                                     with_interval(d, "+")};
        if (n_controls > 0) {
            std::vector<double> random;
            std::size_t as_large = 0;
            for (const RunScore* r : g.runs)
                for (const double control : r->changes[k].controls) {
                    random.push_back(control - r->score.loss);
                    as_large += control >= r->changes[k].loss;
                }
            const double mean = mean_interval(random).mean;
            double squares = 0;
            for (const double x : random) squares += (x - mean) * (x - mean);
            const auto n = static_cast<double>(random.size());
            row.insert(row.end(), {fmt::format("{:+.5f}", mean),
                                   n > 1 ? fmt::format("{:.5f}", std::sqrt(squares / (n - 1))) : "",
                                   fmt::format("{} of {}", as_large, random.size())});
        }
        table.add(row);
    }
    return table.text();
}

void eval(const EvalOptions& o) {
    const Context ctx = chosen_context(o.device, o.threads);
    set_up_threads(ctx);
    const std::vector<TypedRun> typed = typed_runs(o.runs);
    std::set<std::filesystem::path> folders;
    for (const TypedRun& run : typed) folders.insert(parse_checkpoint_name(run.text).run);
    for (const auto& folder : folders) note_unfinished(folder);
    WorkProgress progress(stderr, Terminal::of(stderr));
    std::vector<RunScore> runs;
    const auto n = static_cast<double>(typed.size());
    double begun = 0;
    const auto left_out = for_each_run(typed, [&](const std::string& text) {
        begun += 1;
        runs.push_back(score(o, text, ctx, [&](double fraction) {
            progress.update((begun - 1 + fraction) / n,
                            fmt::format("run {} of {}: {}", begun, n, printable_line(text)));
        }));
    });
    progress.finish();
    print_notes(left_out);
    const std::vector<SeedGroup> groups = group_by_seed(runs);
    if (o.json) {
        nlohmann::ordered_json out{{"schema", 1}, {"split", o.split}, {"data", o.data}};
        out.update(to_json(runs, groups));
        fmt::print("{}\n", out.dump(1));
        return;
    }
    fmt::print("{}", runs_table(runs));
    if (runs.size() > 1) fmt::print("\n{}", groups_table(groups));
    for (const SeedGroup& g : groups)
        if (!g.deltas.empty())
            fmt::print("\n{}{}", groups.size() > 1 ? printable_line(g.label) + "\n" : "",
                       changes_table(g, o.change.controls));
}

}  // namespace

void add_eval_command(CLI::App& app) {
    auto o = std::make_shared<EvalOptions>();
    CLI::App* cmd = app.add_subcommand(
        "eval", "Loss of trained runs on a whole split, also with interventions");
    cmd->add_option("RUN", o->runs,
                    "Runs: RUN, RUN@STEP or RUN@best; or a folder that holds runs, with @best too")
        ->required();
    cmd->add_option("--data", o->data, "Other data, prepared with the same tokenizer")
        ->type_name("DIR");
    cmd->add_option("--split", o->split, "The validation or the test split")
        ->check(CLI::IsMember({"val", "test"}))
        ->type_name("val|test")
        ->capture_default_str();
    cmd->add_option("--sequences", o->sequences,
                    "Score this many sequences, spread over the split; 0: all of it")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber);
    const auto change = [&](const char* name, std::vector<std::string>& values, const char* form,
                            const char* text) {
        cmd->add_option(name, values, text)->type_name(form)->allow_extra_args(false);
    };
    change("--drop", o->change.drop, "L", "Sublayers without their output; all: one at a time");
    change("--mask", o->change.mask, "I", "Sources left out of the reads; all: one at a time");
    change("--swap", o->change.swap, "A,B",
           "Two sublayers or blocks that change places; all: every block with the next");
    change("--gain", o->change.gain, "L=G", "A factor on the output of a sublayer");
    cmd->add_option("--controls", o->change.controls,
                    "Random drops or masks of as many, in the same reads, beside each change")
        ->capture_default_str();
    cmd->add_option("--seed", o->change.seed, "Of the controls")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    add_device_option(*cmd, o->device);
    cmd->add_option("--threads", o->threads,
                    "Threads (default: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->add_flag("--json", o->json, "Print everything as JSON");
    cmd->footer(kEvalExamples);
    cmd->callback([o] { eval(*o); });
}

}  // namespace plumb
