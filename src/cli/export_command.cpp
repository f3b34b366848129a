#include "cli/export_command.h"

#include "cli/run_folder.h"
#include "cli/trained_run.h"
#include "core/files.h"
#include "model/model.h"
#include "run/export.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <numbers>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kExportExamples = R"(Examples:
  plumb export runs/standard --to hf -o exported/standard
  plumb export runs/standard@best --to hf -o exported/best
  plumb export runs/block@500 --to npz -o exported/block

hf: config.json, model.safetensors and the tokenizer, for transformers' LlamaForCausalLM (standard
residual, mlp=swiglu; with qk_norm Qwen3ForCausalLM). npz: every array by name, for any mixer.
)";

struct ExportOptions {
    std::string run, to, out;
};

// The command line of the manifest, to be pasted.
std::string command_of(const fs::path& run) {
    std::error_code ignored;
    if (!fs::exists(run / "manifest.json", ignored)) return "(no manifest.json)";
    const auto json = nlohmann::json::parse(read_file(run / "manifest.json"), nullptr, false);
    const auto words = json.is_object() ? json.find("command_line") : json.end();
    if (!json.is_object() || words == json.end() || !words->is_array()) return "(not recorded)";
    std::string text;
    for (const auto& word : *words) {
        const std::string w = word.is_string() ? word.get<std::string>() : word.dump();
        const bool plain = w.find_first_of(" \t\n'\"$\\|&;<>()*?#~`!") == w.npos && !w.empty();
        text += fmt::format("{}{}", text.empty() ? "" : " ", plain ? w : fmt::format("'{}'", w));
    }
    return text;
}

ExportedModel exported_model(const TrainedRun& run, const std::string& typed) {
    ExportedModel out;
    out.config = run.config;
    out.weights = &run.checkpoint.model;
    out.text = token_meta(run);
    out.run = typed;
    const DataConfig& data = run.config.data;
    out.data = data.path.empty() ? "task " + data.task : data.path;
    if (out.text)
        out.data = fmt::format("{}, {} tokens", out.text->name, out.text->tokenizer.kind());
    out.command = command_of(run.folder());
    out.step = run.step();
    const nlohmann::json& state = run.checkpoint.state;
    const auto number = [&](const char* key) {
        const auto at = state.find(key);
        return at != state.end() && at->is_number() ? std::optional(at->get<double>())
                                                    : std::nullopt;
    };
    if (number("last_eval") == static_cast<double>(out.step))
        out.val_loss = number("last_val_loss");
    if (out.val_loss && out.text && out.text->val.bytes_per_token > 0)
        out.val_bpb = *out.val_loss / std::numbers::ln2 / out.text->val.bytes_per_token;
    return out;
}

void run_export(const ExportOptions& o) {
    const fs::path out = o.out;
    std::error_code ignored;
    if (fs::exists(out, ignored) &&
        (!fs::is_directory(out, ignored) || !fs::is_empty(out, ignored)))
        throw UsageError(fmt::format("-o {}: exists already; choose a new or empty folder", o.out));
    const TrainedRun run = open_trained_run(o.run, "export");
    note_unfinished(run.folder());
    if (o.to == "hf") check_hf(run.config);
    // Every weight there, of its shape and finite, or nothing is written.
    const auto model = make_model({run.config.model, run.config.mixer, run.vocab(), 1, 1}, "fp32");
    model->allocate(1);
    restore_weights(run, model->params());
    const ExportedModel what = exported_model(run, o.run);
    if (o.to == "hf")
        export_hf(what, out);
    else
        export_npz(what, out);
    fmt::print("{} -> {}\n", run.checkpoint.path.string(), o.out);
    if (o.to == "hf")
        fmt::print("read it: AutoModelForCausalLM.from_pretrained(\"{}\")\n", o.out);
    else
        fmt::print("read it: numpy.load(\"{}\")\n", (out / "model.npz").string());
}

}  // namespace

void add_export_command(CLI::App& app) {
    auto o = std::make_shared<ExportOptions>();
    CLI::App* cmd = app.add_subcommand("export", "Write a checkpoint that other programs read");
    cmd->add_option("RUN", o->run, "Folder of a run: RUN, RUN@STEP or RUN@best")->required();
    cmd->add_option("--to", o->to, "Form")
        ->required()
        ->check(CLI::IsMember({"hf", "npz"}))
        ->type_name("hf|npz");
    cmd->add_option("-o,--out", o->out, "Folder to write, new or empty")
        ->required()
        ->type_name("DIR");
    cmd->footer(kExportExamples);
    cmd->callback([o] { run_export(*o); });
}

}  // namespace plumb
