#include "cli/generate_command.h"

#include "cli/device_option.h"
#include "cli/run_folder.h"
#include "cli/terminal.h"
#include "cli/trained_run.h"
#include "core/files.h"
#include "core/text.h"
#include "core/utf8.h"
#include "model/generation.h"
#include "run/run_text.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kGenerateExamples = R"(Examples:
  plumb generate runs/first --prompt "It is a truth universally"
  plumb generate runs/first --prompt "Emma " --tokens 400 --temperature 0.7 --top-k 40
  plumb generate runs/first@500 --prompt "Emma " --samples 16
  plumb generate runs/first@best --prompt-file chapter.txt --device cuda
  plumb generate runs/khop --prompt "3 7 1 4" --temperature 0

Sample i of a seed is the same text whatever --samples is (but for rounding where the mixer is
highway with gate=vector); several are divided by lines of "---".
The model sees model.context tokens. When they are full it goes on with the newer half of them, so
that later tokens are chosen from between one half and all of the context.
Times are printed to stderr.
)";

using Tokens = std::vector<std::int32_t>;

struct GenerateOptions {
    std::string run, prompt = "\n", prompt_file, data, device = "cpu";
    long samples = 1;
    int threads = 0;
    bool unprompted = false;  // neither --prompt nor --prompt-file was typed
    GenerationOptions how;
};

void check(const GenerateOptions& o) {
    if (o.how.tokens < 1) throw UsageError("--tokens: must be at least 1");
    if (!(o.how.sampling.temperature >= 0)) throw UsageError("--temperature: must not be negative");
    if (o.how.sampling.top_k < 0)
        throw UsageError("--top-k: must not be negative; 0 keeps every token");
    if (o.samples < 1) throw UsageError("--samples: must be at least 1");
}

// Standard input is read when it is asked for, and never else: it may be that of a script around
// us. Whoever piped a text must not take a continuation of the default for one of it.
void note_unread_input() {
    struct stat info {};
    if (::fstat(STDIN_FILENO, &info) != 0) return;
    if (S_ISFIFO(info.st_mode) || (S_ISREG(info.st_mode) && info.st_size > 0))
        print_notes({"standard input is not read; with --prompt-file - it is the prompt"});
}

std::string prompt_of(const GenerateOptions& o) {
    if (o.prompt_file.empty()) return o.prompt;
    if (o.prompt_file != "-") return read_file(o.prompt_file);
    return {std::istreambuf_iterator<char>(std::cin), {}};
}

// What the run's tokens mean. A run of schema 1 keeps nothing of its data: they must be there, and
// be those that it was trained on, or the text would be wrong without a word.
std::unique_ptr<RunText> open_text(const TrainedRun& run, const std::string& data_folder) {
    const bool own = keeps_text(run);
    if (!own || !data_folder.empty()) open_run_data(run, data_folder);  // or it throws
    DataConfig data = run.config.data;
    if (!own && !data_folder.empty()) data.path = data_folder;
    auto text = open_run_text(run.folder(), data, run.config.model.resolved().context);
    if (text->vocab() > run.vocab())
        throw IoError(
            fmt::format("{}/data/meta.json has {} tokens, the network {}: it belongs to "
                        "another run",
                        run.folder().string(), text->vocab(), run.vocab()));
    return text;
}

// Prints what a model writes, token by token: to a file or a pipe as it is, to a terminal so that
// nothing acts on it. Tokens may end inside a character; what is not whole yet waits.
class TextOutput {
public:
    void add(std::string_view piece) {
        if (!is_terminal_) return put(piece);
        waiting_ += piece;
        constexpr std::size_t kLongest = 4;  // bytes of a character
        const auto bad = invalid_utf8(waiting_);
        const std::size_t whole = bad && waiting_.size() - *bad < kLongest ? *bad : waiting_.size();
        put(printable(waiting_.substr(0, whole)));
        waiting_.erase(0, whole);
    }
    void end_line() {
        if (is_terminal_) put(printable(waiting_));
        waiting_.clear();
        put("\n");
    }

private:
    static void put(std::string_view text) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
    }
    bool is_terminal_ = Terminal::of(stdout).interactive;
    std::string waiting_;
};

void print_times(const GenerateOptions& o, Index prompt, const GenerationTimes& times) {
    const double steps = static_cast<double>(o.how.tokens), n = static_cast<double>(o.samples);
    std::fprintf(stderr,
                 "prompt_tokens: %lld\nprompt_seconds: %.4f\nms_per_step: %.4f\n"
                 "tokens_per_second: %.1f\n",
                 static_cast<long long>(prompt), times.prompt_seconds,
                 1e3 * times.token_seconds / steps, n * steps / times.token_seconds);
}

void generate(const GenerateOptions& o) {
    check(o);
    const Context ctx = chosen_context(o.device, o.threads);
    const TrainedRun run = open_trained_run(o.run, "generate");
    note_unfinished(run.folder());
    const auto text = open_text(run, o.data);
    set_up_threads(ctx);
    if (o.unprompted) note_unread_input();
    const std::string typed = prompt_of(o);
    const Tokens prompt = text->encode(typed);
    if (prompt.empty())
        throw UsageError(fmt::format("{} is empty; give at least one character",
                                     o.prompt_file.empty() ? "--prompt" : "--prompt-file"));
    Decoder<float> decoder(
        {run.config.model, run.config.mixer, run.vocab(), o.samples, ctx.threads, 0, ctx.device});
    decoder.allocate(1);
    restore_weights(run, decoder.params());
    const bool is_text = text->is_text();
    const std::string begin = typed + (is_text ? "" : " |");
    const auto piece = [&](std::int32_t token) {
        if (token >= text->vocab()) return std::string("\xef\xbf\xbd");  // no text, data.vocab
        return (is_text ? "" : " ") + text->decode(std::span(&token, 1));
    };
    TextOutput out;
    std::vector<Tokens> texts(static_cast<std::size_t>(o.samples));
    if (o.samples == 1) out.add(begin);
    const auto show = [&](Index b, std::int32_t token) {
        texts[static_cast<std::size_t>(b)].push_back(token);
        if (o.samples == 1)
            out.add(piece(token));  // several are printed one after the other, below
    };
    print_times(o, std::ssize(prompt), continue_text(ctx, decoder, prompt, o.how, show));
    if (o.samples == 1) return out.end_line();
    for (std::size_t b = 0; b < texts.size(); ++b) {
        out.add((b > 0 ? "---\n" : "") + begin);
        for (const std::int32_t token : texts[b]) out.add(piece(token));
        out.end_line();
    }
}

}  // namespace

void add_generate_command(CLI::App& app) {
    auto o = std::make_shared<GenerateOptions>();
    CLI::App* cmd = app.add_subcommand("generate", "continue a text with a trained run");
    cmd->add_option("RUN", o->run, "folder of a run: RUN, RUN@STEP or RUN@best")->required();
    auto* prompt = cmd->add_option("--prompt", o->prompt,
                                   "text to continue; tasks: numbers separated by blanks "
                                   "(default: a line feed)");
    auto* prompt_file =
        cmd->add_option("--prompt-file", o->prompt_file,
                        "a file with the text to continue; - is standard input, which is not "
                        "read otherwise")
            ->type_name("FILE")
            ->excludes(prompt);
    cmd->add_option("--tokens", o->how.tokens, "how many tokens to add")->capture_default_str();
    cmd->add_option("--temperature", o->how.sampling.temperature, "0 takes the likeliest token")
        ->capture_default_str();
    cmd->add_option("--top-k", o->how.sampling.top_k, "draw among the K likeliest tokens; 0: all")
        ->capture_default_str();
    cmd->add_option("--samples", o->samples, "continuations of the prompt, generated at once")
        ->capture_default_str();
    cmd->add_option("--seed", o->how.seed, "of the sampling")->capture_default_str();
    cmd->add_option("--data", o->data,
                    "where the data of the run are now, for a run of an earlier version, which "
                    "keeps no tokenizer")
        ->type_name("DIR");
    add_device_option(*cmd, o->device);
    cmd->add_option("--threads", o->threads,
                    "threads (default: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK or all cores)")
        ->check(CLI::Range(1, 1024));
    cmd->footer(kGenerateExamples);
    cmd->callback([o, prompt, prompt_file] {
        o->unprompted = prompt->empty() && prompt_file->empty();
        generate(*o);
    });
}

}  // namespace plumb
