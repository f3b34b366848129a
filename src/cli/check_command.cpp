#include "cli/check_command.h"

#include "check/oracle_fixture.h"
#include "cli/device_option.h"
#include "cli/exit_code.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kCheckExamples = R"(Examples:
  plumb check                          every mixer, every setting
  plumb check attnres mhc              two of them
  plumb check all --json > check.json  the same numbers for a program
  plumb check --device cuda            the model on a GPU, also against the CPU
)";

struct CheckArguments {
    std::vector<std::string> mixers;
    std::string fixtures, device = "cpu";
    bool json = false;
};

using Status = CheckLine::Status;

std::size_t count(const std::vector<CheckLine>& lines, Status status) {
    return static_cast<std::size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const CheckLine& l) { return l.status == status; }));
}

const char* status_name(Status status) {
    return status == Status::pass ? "PASS" : status == Status::fail ? "FAIL" : "skipped";
}

std::vector<const MixerInfo*> chosen_mixers(const std::vector<std::string>& names) {
    std::vector<const MixerInfo*> chosen, all;
    for (const MixerInfo& m : mixers()) all.push_back(&m);
    bool want_all = names.empty();
    for (const std::string& name : names) {
        if (name == "all")
            want_all = true;
        else
            chosen.push_back(&find_mixer(name));
    }
    return want_all ? all : chosen;
}

void check(const CheckArguments& arguments) {
    const Context ctx = chosen_context(arguments.device, 1);
    const std::vector<const MixerInfo*> chosen = chosen_mixers(arguments.mixers);
    CheckOptions options;
    options.device = ctx.device;
    options.fixtures = arguments.fixtures.empty() ? find_fixtures().string() : arguments.fixtures;
    if (!arguments.fixtures.empty() && fixture_paths(options.fixtures).empty())
        throw UsageError(
            fmt::format("--fixtures {}: no *.safetensors there; give the folder that "
                        "scripts/oracle/make_fixtures.py writes",
                        arguments.fixtures));
    set_up_threads(ctx);
    std::vector<CheckLine> lines;
    {
        const Terminal terminal = Terminal::of(stderr);
        ProgressLine progress(stderr, terminal);
        double done = 0;
        const auto show = [&](const std::string& what) {
            progress.update(done / static_cast<double>(chosen.size()), what);
        };
        if (terminal.interactive) options.progress = show;
        for (const MixerInfo* mixer : chosen) {
            show(mixer->name);
            for (CheckLine& l : self_check(*mixer, options)) lines.push_back(std::move(l));
            ++done;
        }
        show("checked");
    }
    const Terminal terminal = Terminal::of(stdout);
    fmt::print("{}", arguments.json ? check_json(lines) : check_text(lines, terminal));
    if (count(lines, Status::fail) > 0) throw ExitWith{kCheckFailed};
}

}  // namespace

std::string check_text(const std::vector<CheckLine>& lines, const Terminal& terminal) {
    Table table({"mixer", "setting", "check", ">value", ">limit", "result"});
    for (const CheckLine& l : lines) {
        std::string result = status_name(l.status);
        if (terminal.colour)
            result = fmt::format("\033[{}m{}\033[0m",
                                 l.status == Status::pass   ? 32
                                 : l.status == Status::fail ? 31
                                                            : 33,
                                 result);
        if (l.status != Status::pass && !l.note.empty()) result += "  " + printable_line(l.note);
        table.add_styled({l.mixer, l.setting, l.name,
                          l.status == Status::skipped ? "-" : fmt::format("{:.2g}", l.value),
                          fmt::format("{:.2g}", l.limit), std::move(result)});
    }
    const std::size_t skipped = count(lines, Status::skipped);
    return fmt::format("{}\nchecks: {}\nfailed: {}\nskipped: {}\n", table.text(),
                       lines.size() - skipped, count(lines, Status::fail), skipped);
}

std::string check_json(const std::vector<CheckLine>& lines) {
    nlohmann::ordered_json out;
    out["checks"] = nlohmann::ordered_json::array();
    for (const CheckLine& l : lines) {
        std::string status = status_name(l.status);
        for (char& c : status) c = static_cast<char>(std::tolower(c));
        out["checks"].push_back({{"mixer", l.mixer},
                                 {"setting", l.setting},
                                 {"name", l.name},
                                 {"value", l.value},
                                 {"limit", l.limit},
                                 {"status", status},
                                 {"note", l.note}});
    }
    out["failed"] = count(lines, Status::fail);
    out["skipped"] = count(lines, Status::skipped);
    return out.dump(2) + "\n";
}

void add_check_command(CLI::App& app) {
    const auto arguments = std::make_shared<CheckArguments>();
    CLI::App* command = app.add_subcommand(
        "check", "Verify this build: gradients, identities, causality, the PyTorch oracle");
    command->footer(kCheckExamples);
    command->add_option("MIXER", arguments->mixers, "Mixers to check, or all (default)");
    command
        ->add_option("--fixtures", arguments->fixtures,
                     "Folder of PyTorch fixtures (default: tests/fixtures, if it is there)")
        ->type_name("DIR");
    add_device_option(*command, arguments->device);
    command->add_flag("--json", arguments->json, "Print JSON instead of a table");
    command->callback([arguments] { check(*arguments); });
}

}  // namespace plumb
