#include "cli/list_command.h"

#include "core/check.h"
#include "core/text.h"
#include "mixers/mixers.h"
#include "train/corpora.h"
#include "train/tasks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <sstream>

namespace plumb {
namespace {

constexpr const char* kExamples = R"(Examples:
  plumb list mixers
  plumb list tasks --json
  plumb list corpora
)";

const std::vector<std::string> kKinds{"mixers", "tasks", "corpora"};

// Name, a sentence, and facts as "title: text".
struct Item {
    std::string name, summary;
    std::vector<std::string> facts;
    nlohmann::ordered_json json;
};

std::vector<std::string> option_keys(const std::string& table,
                                     const std::vector<std::string>& options) {
    std::vector<std::string> keys;
    for (const std::string& option : options) keys.push_back(table + "." + option);
    return keys;
}

std::string listed(const char* title, const std::vector<std::string>& words) {
    return words.empty() ? "" : fmt::format("{}: {}", title, fmt::join(words, ", "));
}

std::vector<Item> items_of(const std::string& what) {
    std::vector<Item> out;
    if (what == "mixers") {
        for (const MixerInfo& m : mixers()) {
            const auto keys = option_keys("mixer", m.options);
            out.push_back({m.name,
                           m.definition,
                           {m.paper, listed("options", keys)},
                           {{"name", m.name},
                            {"definition", m.definition},
                            {"paper", m.paper},
                            {"options", keys}}});
        }
    } else if (what == "tasks") {
        for (const TaskInfo& t : tasks()) {
            const auto keys = option_keys("data", t.options);
            out.push_back({t.name,
                           t.summary,
                           {listed("options", keys)},
                           {{"name", t.name}, {"summary", t.summary}, {"options", keys}}});
        }
    } else if (what == "corpora") {
        for (const CorpusInfo& c : corpora())
            out.push_back({c.name,
                           c.summary,
                           {listed("Debian packages", c.packages), "sha256: " + c.sha256},
                           {{"name", c.name},
                            {"summary", c.summary},
                            {"packages", c.packages},
                            {"sha256", c.sha256}}});
    } else {
        throw UsageError(fmt::format("nothing to list under '{}'; did you mean '{}'? All: {}", what,
                                     nearest(what, kKinds), fmt::join(kKinds, ", ")));
    }
    return out;
}

// Words of `text` in lines of at most `width` columns (a longer word has a line of its own).
std::vector<std::string> wrap(const std::string& text, int width) {
    std::vector<std::string> lines(1);
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        std::string& line = lines.back();
        if (line.empty())
            line = word;
        else if (display_width(line) + 1 + display_width(word) <= width)
            line += " " + word;
        else
            lines.push_back(word);
    }
    return lines;
}

}  // namespace

std::string list_text(const std::string& what, const Terminal& terminal) {
    const std::vector<Item> items = items_of(what);
    std::size_t column = 0;
    for (const Item& item : items) column = std::max(column, item.name.size() + 2);
    std::string out;
    for (const Item& item : items) {
        std::string label = item.name;
        std::vector<std::string> paragraphs{item.summary};
        paragraphs.insert(paragraphs.end(), item.facts.begin(), item.facts.end());
        for (const std::string& paragraph : paragraphs) {
            if (paragraph.empty()) continue;
            for (const std::string& line :
                 wrap(paragraph, std::max(terminal.width - static_cast<int>(column), 20))) {
                out += fmt::format("{:<{}}{}\n", label, column, line);
                label.clear();
            }
        }
        out += "\n";
    }
    return out + fmt::format("{}: {}\n", what, items.size());
}

std::string list_json(const std::string& what) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const Item& item : items_of(what)) out.push_back(item.json);
    return out.dump(2) + "\n";
}

void add_list_command(CLI::App& app) {
    struct Arguments {
        std::string what;
        bool json = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand("list", "Built-in mixers, tasks and corpora");
    command->add_option("WHAT", args->what, "mixers, tasks or corpora")->required();
    command->add_flag("--json", args->json, "Print as JSON");
    command->footer(kExamples);
    command->callback([args] {
        fmt::print(
            "{}", args->json ? list_json(args->what) : list_text(args->what, Terminal::of(stdout)));
    });
}

}  // namespace plumb
