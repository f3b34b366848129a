#include "cli/bench_command.h"

#include "bench/pass_report.h"
#include "cli/device_option.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "core/gpu.h"
#include "core/text.h"

#include <algorithm>
#include <memory>
#include <optional>

namespace plumb {
namespace {

constexpr const char* kBenchExamples =
    R"(Shapes: a (width 256, 12 blocks), b (128, 24), c (384, 6, batch 16), all T 256, or
LAYERSxWIDTHxTxBATCH. Settings are key=value of model, train and mixer. Close other programs first.
Examples:
  plumb bench
  plumb bench --mixers attnres attnres_block:n_blocks=4 mhc --shape a b --precision both
  plumb bench --shape 4x128x128x8 train.clip=0 --rounds 5 --json
  plumb bench --ops --shape a
  plumb bench --depth 6,12,24,48 --mixers attnres attnres_block --shape 12x128x256x4 --out depth
  plumb bench --generate 1,16 --mixers attnres_block --rounds 15
  plumb bench --context 64,128,256,512,1024 --mixers all --shape b
  plumb bench --device cuda --shape 24x1024x1024x2 --vocab 32768 --precision bf16
)";

struct BenchArguments {
    std::vector<std::string> mixers{"all"}, shapes{"a"}, overrides;
    std::vector<long> depths, contexts, generate;
    std::string against = "standard", precision = "fp32", out, device = "cpu";
    int threads = 0, rounds = 9;
    std::optional<int> steps{};  // 2, but on the emulated device none
    long vocab = kBenchVocab;
    bool ops = false, json = false;
};

// `--mixers NAME... key=value` reads the settings too: they go where they belong.
void sort_words(BenchArguments& o) {
    for (std::vector<std::string>* list : {&o.mixers, &o.shapes}) {
        const auto is_setting = [](const std::string& word) {
            return word.find('=') < word.find(':') && word.find('.') < word.find('=');
        };
        std::copy_if(list->begin(), list->end(), std::back_inserter(o.overrides), is_setting);
        list->erase(std::remove_if(list->begin(), list->end(), is_setting), list->end());
    }
}

struct Job {
    enum class Kind : std::uint8_t { compare, depth, context, ops, generate, passes } kind;
    BenchShape shape;
    std::string precision;
};

std::vector<Job> jobs_of(const BenchArguments& o) {
    if (o.precision != "fp32" && o.precision != "bf16" && o.precision != "both")
        throw UsageError(fmt::format("--precision {}: fp32, bf16 or both", o.precision));
    std::vector<std::string> precisions{o.precision};
    if (o.precision == "both") precisions = {"fp32", "bf16"};
    std::vector<Job> jobs;
    const bool compare = !o.ops && o.depths.empty() && o.contexts.empty() && o.generate.empty(),
               on_gpu = o.device != "cpu";
    if (on_gpu && (o.ops || !o.generate.empty()))
        throw UsageError(
            "--device cuda: there bench looks at passes of mixers and at whole steps; --ops and "
            "--generate are of --device cpu");
    const bool steps = o.steps || !on_gpu || !gpu::is_emulated();
    for (const std::string& text : o.shapes)
        for (const std::string& precision : precisions) {
            BenchShape shape = parse_bench_shape(text);
            shape.vocab = o.vocab;
            if (compare && on_gpu) jobs.push_back({Job::Kind::passes, shape, precision});
            if (compare && steps) jobs.push_back({Job::Kind::compare, shape, precision});
            for (const long layers : o.depths) {
                jobs.push_back({Job::Kind::depth, shape, precision});
                jobs.back().shape.layers = layers;
            }
            for (const long t : o.contexts) {
                jobs.push_back({Job::Kind::context, shape, precision});
                jobs.back().shape.context = t;
                jobs.back().shape.batch = std::max(1L, shape.batch * shape.context / t);
            }
            if (o.ops) jobs.push_back({Job::Kind::ops, shape, precision});
        }
    for (const std::string& text : o.shapes)
        for (const long batch : o.generate) {
            jobs.push_back({Job::Kind::generate, parse_bench_shape(text), "fp32"});
            jobs.back().shape.batch = batch, jobs.back().shape.vocab = o.vocab;
        }
    return jobs;
}

void run(const Job& job, const BenchArguments& o, const std::vector<BenchMixer>& mixers,
         const BenchOptions& options, BenchReport& report) {
    if (job.kind == Job::Kind::ops) {
        if (report.bandwidths.empty()) report.bandwidths = measure_bandwidths(options.context);
        for (MicroBench& m : micro_bench(job.shape, mixers, o.overrides, options.context,
                                         job.precision, report.bandwidths, options.progress))
            report.ops.push_back(std::move(m));
        return;
    }
    if (job.kind == Job::Kind::passes) {
        report.passes.push_back(bench_passes(job.shape, mixers, o.overrides, options.context,
                                             job.precision, o.rounds, options.progress));
        return;
    }
    if (job.kind == Job::Kind::generate) {
        report.generate.push_back(bench_decode(job.shape, mixers, o.overrides, options));
        return;
    }
    auto& list = job.kind == Job::Kind::compare ? report.compare
                 : job.kind == Job::Kind::depth ? report.depth
                                                : report.context;
    list.push_back(bench_shape(job.shape, mixers, o.overrides, options));
}

void write_folder(const BenchReport& report, const std::filesystem::path& out) {
    make_folder(out);
    write_file(out / "bench.json", bench_json(report).dump(1) + "\n");
    write_file(out / "bench.md", bench_markdown(report));
    if (!report.compare.empty() || !report.depth.empty() || !report.context.empty())
        write_file(out / "bench.csv", bench_csv(report));
    if (!report.ops.empty()) write_file(out / "ops.csv", ops_csv(report));
    if (!report.generate.empty()) write_file(out / "generate.csv", generate_csv(report));
    if (!report.passes.empty()) write_file(out / "passes.csv", passes_csv(report.passes));
}

void print_device() {
    fmt::print("{}\n\n", gpu::is_emulated()
                             ? "emulated device: CUDA on the CPU, whose times mean nothing; "
                               "bytes alone"
                             : gpu::devices());
}

void print(const BenchReport& report) {
    fmt::print("{}\n\n", bench_machine_line(report));
    if (!report.passes.empty()) print_device();
    for (const TextTable& t : bench_tables(report)) {
        Table table(t.titles);
        for (const auto& row : t.rows) table.add(row);
        fmt::print("{}\n{}\n", t.heading, table.text());
    }
    fmt::print("{}", bench_legend(report));
}

void bench(BenchArguments o, const std::vector<std::string>& command_line) {
    sort_words(o);
    const std::vector<BenchMixer> mixers = parse_bench_mixers(o.mixers, o.against);
    check_bench_overrides(mixers, o.overrides);
    const std::vector<Job> jobs = jobs_of(o);
    BenchReport report;
    WorkProgress progress(stderr, Terminal::of(stderr));
    BenchOptions options{chosen_context(o.device, o.threads), "", o.rounds, o.steps.value_or(2)};
    report.machine = bench_machine(command_line, options.context.threads);
    if (options.context.device == Device::cuda)
        report.machine["machine"]["gpu"] = gpu::is_emulated() ? "emulated" : gpu::devices();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        options.precision = jobs[i].precision;
        options.progress = [&](double fraction, const std::string& what) {
            progress.update((static_cast<double>(i) + fraction) / static_cast<double>(jobs.size()),
                            what);
        };
        run(jobs[i], o, mixers, options, report);
    }
    progress.finish();
    if (!o.out.empty()) write_folder(report, o.out);
    if (o.json)
        fmt::print("{}\n", bench_json(report).dump(1));
    else
        print(report);
    if (!o.out.empty() && !o.json) fmt::print("wrote: {}\n", o.out);
}

}  // namespace

void add_bench_command(CLI::App& app) {
    auto o = std::make_shared<BenchArguments>();
    CLI::App* cmd = app.add_subcommand("bench", "what each depth mixer costs on this machine");
    cmd->add_option("settings", o->overrides, "key=value of model, train and mixer");
    cmd->add_option("--mixers", o->mixers, "all, or NAME[:key=value,...] ... (default: all)")
        ->type_name("MIXER");
    cmd->add_option("--against", o->against, "baseline (default: standard)")->type_name("MIXER");
    cmd->add_option("--shape", o->shapes, "a, b, c or LAYERSxWIDTHxTxBATCH ... (default: a)")
        ->type_name("SHAPE");
    cmd->add_option("--precision", o->precision, "fp32, bf16 or both (default: fp32)")
        ->type_name("fp32|bf16|both");
    add_device_option(*cmd, o->device);
    cmd->add_option("--threads", o->threads,
                    "threads (default: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->add_option("--rounds", o->rounds,
                    "rounds of baseline and mixer, walks on a GPU (default: 9)")
        ->check(CLI::Range(1, 10000))
        ->take_last();
    cmd->add_option("--steps", o->steps,
                    "timed steps of each in a round (default: 2; emulated device: no steps)")
        ->check(CLI::Range(1, 10000))
        ->take_last();
    cmd->add_option("--vocab", o->vocab, "size of the vocabulary (default: 256)")
        ->check(CLI::Range(2, 1 << 24))
        ->take_last();
    cmd->add_flag("--ops", o->ops, "every op alone and its floor, instead of whole steps");
    cmd->add_option("--depth", o->depths, "cost against depth, e.g. 6,12,24,48 blocks")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    cmd->add_option("--context", o->contexts, "cost against T, tokens a step kept equal")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    cmd->add_option("--generate", o->generate, "latency of a token at these batches, e.g. 1,16")
        ->delimiter(',')
        ->check(CLI::PositiveNumber);
    cmd->add_flag("--json", o->json, "print JSON");
    cmd->add_option("-o,--out", o->out, "folder for bench.json, bench.md and CSV")
        ->type_name("DIR");
    cmd->footer(kBenchExamples);
    cmd->callback([o, cmd] {
        std::vector<std::string> command_line{"plumb", "bench"};
        for (const CLI::Option* option : cmd->parse_order()) {
            if (!option->get_name().starts_with("-")) continue;
            command_line.push_back(option->get_name());
            for (const std::string& r : option->results())
                if (option->get_items_expected_max() > 0) command_line.push_back(r);
        }
        for (const std::string& setting : o->overrides) command_line.push_back(setting);
        bench(*o, command_line);
    });
}

}  // namespace plumb
