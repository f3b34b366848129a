// plumb: one front door. Subcommands live in one file each; this page wires them and turns errors
// into exit codes (cli/exit_code.h).
#include "cli/bench_command.h"
#include "cli/check_command.h"
#include "cli/command_doc.h"
#include "cli/compare_command.h"
#include "cli/completion.h"
#include "cli/data_command.h"
#include "cli/doctor_command.h"
#include "cli/eval_command.h"
#include "cli/exit_code.h"
#include "cli/export_command.h"
#include "cli/generate_command.h"
#include "cli/help_command.h"
#include "cli/inspect_command.h"
#include "cli/list_command.h"
#include "cli/matrix_command.h"
#include "cli/sweep_command.h"
#include "cli/train_command.h"

#include "core/check.h"
#include "core/text.h"
#include "core/utf8.h"
#include "plumb/build_info.h"
#include "run/run_lock.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

namespace {

constexpr const char* kFooter = R"(Start with:
  plumb data prepare austen --out data/austen
  plumb train data.path=data/austen mixer=attnres_block --out runs/first
  plumb inspect runs/first
`plumb list settings` shows every setting, `plumb help TOPIC` one page about it.
)";

void add_commands(CLI::App& app) {
    plumb::add_list_command(app);
    plumb::add_help_command(app);
    plumb::add_data_command(app);
    plumb::add_train_command(app);
    plumb::add_sweep_command(app);
    plumb::add_check_command(app);
    plumb::add_inspect_command(app);
    plumb::add_matrix_command(app);
    plumb::add_compare_command(app);
    plumb::add_report_command(app);
    plumb::add_figures_command(app);
    plumb::add_eval_command(app);
    plumb::add_export_command(app);
    plumb::add_generate_command(app);
    plumb::add_bench_command(app);
    plumb::add_doctor_command(app);
    plumb::add_completion_command(app);
}

// Paths, labels and settings end up in JSON and TOML, which are UTF-8.
void check_words(int argc, char** argv) {
    for (int i = 1; i < argc; ++i)
        if (plumb::invalid_utf8(argv[i]))
            throw plumb::UsageError(
                fmt::format("'{}' is not UTF-8; rename the file or folder, or type it in UTF-8. "
                            "Nothing was written",
                            argv[i]));
}

// The subcommand that was being parsed, as typed: "plumb data prepare".
const CLI::App& innermost(const CLI::App& app, std::string& name) {
    const std::vector<CLI::App*> below = app.get_subcommands();
    if (below.empty()) return app;
    name += " " + below.front()->get_name();
    return innermost(*below.front(), name);
}

// "'--sede' is no option; did you mean '--seed'?" for a word that `command` does not know.
std::string unknown_word(const CLI::App& command, const std::string& typed) {
    const bool dashed = typed.starts_with("-");
    const std::string word = dashed ? typed.substr(0, typed.find('=')) : typed;
    std::vector<std::string> known;
    if (dashed) {
        for (const CLI::Option* o : command.get_options())
            for (const std::string& n : o->get_lnames()) known.push_back("--" + n);
    } else {
        for (const CLI::App* c : command.get_subcommands({})) known.push_back(c->get_name());
    }
    const char* kind = dashed ? "option" : known.empty() ? "argument" : "command";
    return fmt::format("'{}' is no {}{}", word, kind, plumb::did_you_mean(word, known));
}

// CLI11's errors in our words: what, and what to type next.
[[noreturn]] void explain(const CLI::App& app, const CLI::ParseError& error) {
    std::string name = "plumb";
    const CLI::App& command = innermost(app, name);
    const std::vector<std::string> extra = app.remaining(true);
    const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&error) ||
                         dynamic_cast<const CLI::RequiredError*>(&error);
    std::string what = error.what();
    std::replace(what.begin(), what.end(), '\n', ' ');
    if (unknown && !extra.empty()) what = unknown_word(command, extra.front());
    throw plumb::UsageError(fmt::format("{}{} (`{} --help` shows what there is)",
                                        &command == &app ? "" : name.substr(6) + ": ", what, name));
}

void run(int argc, char** argv) {
    CLI::App app{
        "Plumb trains small transformers in which the residual connection is one "
        "interchangeable part, the depth mixer, and measures what that part does.",
        "plumb"};
    plumb::use_help_pages(app);
    app.set_help_flag("-h,--help", "this page");
    app.set_version_flag("--version", std::string("plumb ") + plumb::build_info::version,
                         "the version");
    app.require_subcommand(1);
    app.footer(kFooter);
    add_commands(app);
    check_words(argc, argv);
    if (plumb::print_completion(app, {argv + std::min(argc, 1), argv + argc})) return;
    if (argc < 2) {
        fmt::print("{}", app.help());
        return;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() != 0) explain(app, e);
        app.exit(e);  // --help, --version
    }
}

int fail(const std::string& what, int code) {
    std::fflush(stdout);
    std::fprintf(stderr, "plumb: %s\n", plumb::printable(what).c_str());
    return code;
}

int run_and_explain(int argc, char** argv) {
    try {
        run(argc, argv);
        return 0;
    } catch (const plumb::ExitWith& e) {
        return e.code;
    } catch (const plumb::UsageError& e) {
        return fail(e.what(), plumb::kUsage);
    } catch (const plumb::RunBusy& e) {
        return fail(e.what(), plumb::kBusy);
    } catch (const plumb::Diverged& e) {
        return fail(e.what(), plumb::kDiverged);
    } catch (const plumb::IoError& e) {
        return fail(e.what(), plumb::kInputOutput);
    } catch (const std::filesystem::filesystem_error& e) {
        return fail(fmt::format("cannot use {}: {}", e.path1().string(), e.code().message()),
                    plumb::kInputOutput);
    } catch (const std::system_error& e) {  // fmt::print on a full disk
        return fail(std::ferror(stdout) ? "cannot write to standard output: " + e.code().message()
                                        : std::string(e.what()),
                    plumb::kInputOutput);
    } catch (const std::bad_alloc&) {
        return fail(
            "out of memory; `plumb train --dry-run` shows what a run needs: try a smaller "
            "train.batch or model.context",
            plumb::kInputOutput);
    } catch (const std::exception& e) {
        return fail(std::string("internal error: ") + e.what(), plumb::kInternal);
    }
}

// What was printed has arrived, or the command has failed: a full disk shows only here.
int finish_output(int code) {
    errno = 0;
    std::cout.flush();
    const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout;
    if (!lost || code != 0) return code;
    if (errno == 0) {  // the write that failed is past; another one gives the reason
        std::clearerr(stdout);
        std::fputc('\n', stdout);
        std::fflush(stdout);
    }
    const char* reason = errno != 0 ? std::strerror(errno) : "what was printed is not complete";
    return fail(fmt::format("cannot write to standard output: {}", reason), plumb::kInputOutput);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limits is the error of a write, with a name
    return finish_output(run_and_explain(argc, argv));
}
