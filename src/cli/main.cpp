// plumb: one front door. Subcommands live in one file each; this page wires them and turns errors
// into exit codes (interface.md): 0 ok, 1 a check failed, 2 usage, 3 diverged, 4 input/output,
// 130 interrupted.
#include "cli/bench_command.h"
#include "cli/check_command.h"
#include "cli/data_command.h"
#include "cli/doctor_command.h"
#include "cli/exit_code.h"
#include "cli/generate_command.h"
#include "cli/inspect_command.h"
#include "cli/list_command.h"
#include "cli/matrix_command.h"
#include "cli/train_command.h"

#include "core/check.h"
#include "core/text.h"
#include "plumb/build_info.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {

// CLI11 says of an unknown command only that one is required.
void check_command_name(const CLI::App& app, const std::string& word) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
    if (word.starts_with("-") || std::find(names.begin(), names.end(), word) != names.end()) return;
    throw plumb::UsageError(fmt::format("'{}' is not a command; nearest is '{}' (plumb --help)",
                                        word, plumb::nearest(word, names)));
}

int run(int argc, char** argv) {
    CLI::App app{"Plumb: depth mixers of transformers, trained and measured."};
    app.set_version_flag("--version", std::string("plumb ") + plumb::build_info::version);
    app.require_subcommand(1);
    app.footer(
        "Start with: plumb list mixers; plumb data prepare austen --out data/austen;\n"
        "            plumb train data.path=data/austen mixer=attnres_block --out runs/first");
    plumb::add_list_command(app);
    plumb::add_data_command(app);
    plumb::add_train_command(app);
    plumb::add_check_command(app);
    plumb::add_inspect_command(app);
    plumb::add_matrix_command(app);
    plumb::add_generate_command(app);
    plumb::add_bench_command(app);
    plumb::add_doctor_command(app);
    if (argc < 2) {
        std::printf("%s", app.help().c_str());
        return 0;
    }
    check_command_name(app, argv[1]);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : plumb::kUsage;
    }
    return 0;
}

int fail(const char* what, int code) {
    std::fflush(stdout);
    std::fprintf(stderr, "plumb: %s\n", what);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const plumb::ExitWith& e) {
        return e.code;
    } catch (const plumb::UsageError& e) {
        return fail(e.what(), plumb::kUsage);
    } catch (const plumb::Diverged& e) {
        return fail(e.what(), plumb::kDiverged);
    } catch (const plumb::IoError& e) {
        return fail(e.what(), plumb::kInputOutput);
    } catch (const std::filesystem::filesystem_error& e) {
        return fail(e.what(), plumb::kInputOutput);
    } catch (const std::bad_alloc&) {
        return fail(
            "out of memory; `plumb train --dry-run` shows what a run needs: try a smaller "
            "train.batch or model.context",
            plumb::kInputOutput);
    } catch (const std::exception& e) {
        return fail((std::string("internal error: ") + e.what()).c_str(), 70);
    }
}
