#include "cli/check_command.h"

#include "core/context.h"
#include "experiment/oracle_fixture.h"
#include "experiment/self_check.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kExamples = R"(Examples:
  plumb check                          every mixer, every setting
  plumb check attnres mhc              two of them
  plumb check all --json > check.json  the same numbers for a program
)";

struct CheckArguments {
    std::vector<std::string> mixers;
    std::string fixtures;
    bool json = false;
};

const char* status_name(CheckLine::Status status) {
    switch (status) {
        case CheckLine::Status::pass: return "PASS";
        case CheckLine::Status::fail: return "FAIL";
        case CheckLine::Status::skipped: return "skipped";
    }
    return "";
}

std::string coloured(CheckLine::Status status) {
    const char* name = status_name(status);
    if (!isatty(STDOUT_FILENO) || std::getenv("NO_COLOR")) return name;
    const int code = status == CheckLine::Status::pass ? 32 : status == CheckLine::Status::fail ? 31 : 33;
    return fmt::format("\033[{}m{}\033[0m", code, name);
}

std::vector<const MixerInfo*> chosen_mixers(const CheckArguments& arguments) {
    std::vector<const MixerInfo*> chosen;
    bool all = arguments.mixers.empty();
    for (const std::string& name : arguments.mixers) {
        if (name == "all") all = true;
        else chosen.push_back(&find_mixer(name));
    }
    if (!all) return chosen;
    chosen.clear();
    for (const MixerInfo& m : mixers()) chosen.push_back(&m);
    return chosen;
}

std::size_t count(const std::vector<CheckLine>& lines, CheckLine::Status status) {
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const CheckLine& l) { return l.status == status; }));
}

void print_table(const std::vector<CheckLine>& lines) {
    std::size_t mixer = 5, setting = 7, name = 5;
    for (const CheckLine& l : lines) {
        mixer = std::max(mixer, l.mixer.size());
        setting = std::max(setting, l.setting.size());
        name = std::max(name, l.name.size());
    }
    fmt::print("{:<{}}  {:<{}}  {:<{}}  {:>8}  {:>8}\n", "mixer", mixer, "setting", setting, "check",
               name, "value", "limit");
    for (const CheckLine& l : lines) {
        const bool skipped = l.status == CheckLine::Status::skipped;
        const bool explain = l.status != CheckLine::Status::pass && !l.note.empty();
        fmt::print("{:<{}}  {:<{}}  {:<{}}  {:>8}  {:>8}  {}{}{}\n", l.mixer, mixer, l.setting,
                   setting, l.name, name, skipped ? "-" : fmt::format("{:.2g}", l.value),
                   fmt::format("{:.2g}", l.limit), coloured(l.status), explain ? "  " : "",
                   explain ? l.note : "");
    }
}

void print_json(const std::vector<CheckLine>& lines) {
    nlohmann::ordered_json out;
    out["checks"] = nlohmann::ordered_json::array();
    for (const CheckLine& l : lines) {
        nlohmann::ordered_json value = l.value;
        if (l.status == CheckLine::Status::skipped) value = nullptr;
        out["checks"].push_back({{"mixer", l.mixer},
                                 {"setting", l.setting},
                                 {"name", l.name},
                                 {"value", value},  // null if it is not a number
                                 {"limit", l.limit},
                                 {"status", l.status == CheckLine::Status::pass   ? "pass"
                                            : l.status == CheckLine::Status::fail ? "fail"
                                                                                  : "skipped"},
                                 {"note", l.note}});
    }
    out["failed"] = count(lines, CheckLine::Status::fail);
    out["skipped"] = count(lines, CheckLine::Status::skipped);
    fmt::print("{}\n", out.dump(2));
}

void check(const CheckArguments& arguments) {
    const std::vector<const MixerInfo*> chosen = chosen_mixers(arguments);
    CheckOptions options;
    options.fixtures = arguments.fixtures.empty() ? find_fixtures().string() : arguments.fixtures;
    if (!arguments.fixtures.empty() && fixture_paths(options.fixtures).empty())
        throw UsageError(fmt::format("--fixtures {}: no *.safetensors there; give the folder that "
                                     "scripts/oracle/make_fixtures.py writes",
                                     arguments.fixtures));
    const bool live = isatty(STDERR_FILENO);
    if (live)
        options.progress = [](const std::string& what) {
            fmt::print(stderr, "\r\033[K{}", what);
            std::fflush(stderr);
        };
    set_up_threads({});
    std::vector<CheckLine> lines;
    for (const MixerInfo* mixer : chosen) {
        if (!live) fmt::print(stderr, "checking {}\n", mixer->name);
        for (CheckLine& l : self_check(*mixer, options)) lines.push_back(std::move(l));
    }
    if (live) fmt::print(stderr, "\r\033[K");

    const std::size_t failed = count(lines, CheckLine::Status::fail);
    const std::size_t skipped = count(lines, CheckLine::Status::skipped);
    if (arguments.json) {
        print_json(lines);
    } else {
        print_table(lines);
        fmt::print("\nchecks: {}\nfailed: {}\nskipped: {}\n", lines.size() - skipped, failed, skipped);
    }
    if (failed > 0) throw CLI::RuntimeError(1);
}

}  // namespace

void add_check_command(CLI::App& app) {
    const auto arguments = std::make_shared<CheckArguments>();
    CLI::App* command = app.add_subcommand(
        "check", "Verify this build: gradients, identities, causality, the PyTorch oracle");
    command->footer(kExamples);
    command->add_option("mixer", arguments->mixers, "mixers to check, or all (default)");
    command->add_option("--fixtures", arguments->fixtures,
                        "folder of PyTorch fixtures (default: tests/fixtures, if it is there)");
    command->add_flag("--json", arguments->json, "print JSON instead of a table");
    command->callback([arguments] { check(*arguments); });
}

}  // namespace plumb
