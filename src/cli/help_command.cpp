#include "cli/help_command.h"

#include "check/toy_stack.h"
#include "cli/command_doc.h"
#include "cli/list_command.h"
#include "cli/man_page.h"
#include "cli/sweep_file_page.h"
#include "config/config.h"
#include "core/check.h"
#include "core/text.h"
#include "mixers/mixers.h"
#include "mixers/parameter_kind.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace plumb {
namespace {

constexpr const char* kSweepFile = "sweep-file";

constexpr const char* kHelpExamples = R"(Examples:
  plumb help train.lr
  plumb help attnres
  plumb help data prepare
)";

std::string last_part(const std::string& key) { return key.substr(key.find('.') + 1); }

const CLI::App* find_command(const CLI::App& app, const std::string& words) {
    const std::string first = words.substr(0, words.find(' '));
    for (const CLI::App* command : app.get_subcommands({})) {
        if (command->get_name() != first) continue;
        if (first.size() == words.size()) return command;
        return find_command(*command, words.substr(first.size() + 1));
    }
    return nullptr;
}

std::string paragraph(const std::string& text, const std::string& indent, int width) {
    std::string out;
    for (const std::string& line : wrap(text, std::max(width - display_width(indent), 20)))
        out += indent + line + "\n";
    return out;
}

// What the options of a mixer, optimizer or task mean.
std::string option_meanings(const std::string& owner, int width) {
    std::string out;
    for (const FieldInfo& f : fields())
        if (std::find(f.owners.begin(), f.owners.end(), owner) != f.owners.end())
            out += "\n  " + f.key + "\n" + paragraph(f.help, "    ", width);
    return out;
}

std::string entry_page(const ListItem& item, const std::string& kind, int width) {
    std::string out = fmt::format("{} (from `plumb list {}`)\n\n", item.name, kind);
    out += paragraph(item.summary, "  ", width) + "\n";
    for (const std::string& fact : item.facts)
        if (!fact.empty()) out += paragraph(fact, "  ", width);
    out += option_meanings(item.name, width);
    if (!item.usage.empty()) out += "\nTo type:\n\n";
    for (const std::string& line : item.usage) out += line.empty() ? "\n" : "  " + line + "\n";
    return out;
}

// Kinds of parameters, and the mixers that learn them.
std::map<std::string, std::set<std::string>> parameter_kinds() {
    std::map<std::string, std::set<std::string>> kinds;
    for (const MixerInfo& mixer : mixers())
        for (const auto& settings : mixer.test_settings) {
            Plan plan;
            ParamStore<float> params;
            make_mixer<float>(mixer_config(mixer.name, settings), {4, 1, 8, 1e-6})
                ->declare(plan, params);
            for (const ParamSpec& spec : params.specs())
                kinds[parameter_kind(spec.name)].insert(mixer.name);
        }
    return kinds;
}

// "" if no mixer has parameters of this kind.
std::string parameter_page(const std::string& kind, int width) {
    const auto kinds = parameter_kinds();
    const auto found = kinds.find(kind);
    if (found == kinds.end()) return "";
    std::string out = fmt::format("{} (parameters of a mixer)\n\n", kind);
    out += paragraph(fmt::format("learned by {}", fmt::join(found->second, ", ")), "  ", width);
    std::string setting = "mixer." + kind;
    std::replace(setting.begin() + 6, setting.end(), '.', '_');
    for (const FieldInfo& f : fields())
        if (f.key == setting) out += paragraph(f.key + ": " + f.help, "  ", width);
    return out + fmt::format("  mixer.freeze={} leaves them untrained\n", kind);
}

std::string overview(const CLI::App& app, int width) {
    std::string out = "plumb help TOPIC shows one page. Topics:\n\nSubcommands\n";
    const auto listed = [&](const std::vector<std::string>& names) {
        return paragraph(fmt::format("{}", fmt::join(names, ", ")), "  ", width);
    };
    std::vector<std::string> names;
    for (const CommandDoc& c : describe(app, "plumb").commands) names.push_back(c.name.substr(6));
    out += listed(names);
    for (const ListKind& kind : list_kinds()) {
        names.clear();
        for (const ListItem& item : list_items(kind.name)) names.push_back(item.name);
        out += fmt::format("\n{}\n", kind.name) + listed(names);
    }
    names.clear();
    for (const auto& [kind, mixers] : parameter_kinds()) names.push_back(kind);
    return out + "\nparameters of mixers\n" + listed(names) + "\nfiles\n" + listed({kSweepFile});
}

}  // namespace

std::vector<std::string> help_topics(const CLI::App& app) {
    std::vector<std::string> topics;
    for (const CommandDoc& c : describe(app, "plumb").commands) {
        topics.push_back(c.name.substr(6));
        for (const CommandDoc& below : c.commands) topics.push_back(below.name.substr(6));
    }
    for (const ListKind& kind : list_kinds())
        for (const ListItem& item : list_items(kind.name)) topics.push_back(item.name);
    for (const auto& [kind, mixers] : parameter_kinds()) topics.push_back(kind);
    topics.emplace_back(kSweepFile);
    return topics;
}

std::string help_topic(const CLI::App& app, const std::string& topic, const Terminal& terminal) {
    if (topic == kSweepFile) return kSweepFilePage;
    std::string out;
    const auto add = [&out](const std::string& page) { out += (out.empty() ? "" : "\n") + page; };
    if (const CLI::App* command = find_command(app, topic))
        add(help_page(describe(*command, "plumb " + topic), terminal.width));
    for (const bool exact : {true, false}) {
        for (const ListKind& kind : list_kinds())
            for (const ListItem& item : list_items(kind.name))
                if (exact ? item.name == topic
                          : kind.name == "settings" && last_part(item.name) == topic)
                    add(entry_page(item, kind.name, terminal.width));
        if (!out.empty()) break;
    }
    if (const std::string page = parameter_page(topic, terminal.width); !page.empty()) add(page);
    if (!out.empty()) return out;
    for (const ListKind& kind : list_kinds())
        if (kind.name == topic) return list_text(topic, terminal);
    std::vector<std::string> near = help_topics(app);
    for (const FieldInfo& f : fields()) near.push_back(last_part(f.key));
    const bool is_key = topic.find('.') != std::string::npos;
    std::string mentioned;
    for (const std::string& kind : kinds_that_mention(topic))
        mentioned += fmt::format("{} `plumb list {} {}`", mentioned.empty() ? "; see" : ",", kind,
                                 shell_quoted(topic));
    throw UsageError(fmt::format("no help on '{}'{}{} (`plumb help` lists every topic)", topic,
                                 is_key ? suggest_key(topic) : did_you_mean(topic, near),
                                 mentioned));
}

void add_help_command(CLI::App& app) {
    struct Arguments {
        std::vector<std::string> topic;
        bool man = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command =
        app.add_subcommand("help", "one page about a setting, a subcommand, a mixer, a task ...");
    command->add_option("TOPIC", args->topic, "what `plumb help` alone lists");
    command->add_flag("--man", args->man, "the manual page of plumb, for man(1)");
    command->footer(kHelpExamples);
    command->callback([args, &app] {
        const Terminal terminal = Terminal::of(stdout);
        if (args->man)
            fmt::print("{}", man_page(describe(app, "plumb")));
        else if (args->topic.empty())
            fmt::print("{}", overview(app, terminal.width));
        else
            fmt::print("{}",
                       help_topic(app, fmt::format("{}", fmt::join(args->topic, " ")), terminal));
    });
}

}  // namespace plumb
