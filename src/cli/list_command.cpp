#include "cli/list_command.h"

#include "cli/settings_page.h"
#include "config/numerics.h"
#include "core/check.h"
#include "core/text.h"
#include "data/corpora.h"
#include "data/tasks.h"
#include "mixers/mixers.h"
#include "model/sublayers.h"
#include "record/measures.h"
#include "sweep/sweep_json.h"
#include "train/optimizer.h"

#include <algorithm>
#include <memory>

namespace plumb {
namespace {

constexpr const char* kListExamples = R"(Examples:
  plumb list mixers
  plumb list settings lr
  plumb list tasks --json
)";

std::vector<std::string> option_keys(const std::string& table, const std::vector<Option>& options) {
    std::vector<std::string> keys;
    for (const Option& option : options) keys.push_back(table + "." + option.name);
    return keys;
}

std::string listed(const char* title, const std::vector<std::string>& words) {
    return words.empty() ? "" : fmt::format("{}: {}", title, fmt::join(words, ", "));
}

std::vector<ListItem> mixer_items() {
    std::vector<ListItem> out;
    for (const MixerInfo& m : mixers()) {
        const auto keys = option_keys("mixer", m.options);
        out.push_back({m.name,
                       m.definition,
                       {m.paper, listed("options", keys)},
                       {fmt::format("plumb train mixer={} ...", m.name)},
                       {{"name", m.name},
                        {"definition", m.definition},
                        {"paper", m.paper},
                        {"options", keys}}});
    }
    return out;
}

// What decoding keeps of a token, with the default [model].
std::string state_text(const SublayerInfo& s) {
    const ModelConfig defaults = ModelConfig{}.resolved();
    const double n = s.costs(defaults).state;
    return n == 0
               ? "decoding keeps nothing"
               : fmt::format("decoding keeps {} numbers a position at width {}", n, defaults.width);
}

std::vector<ListItem> sublayer_items() {
    std::vector<ListItem> out;
    for (const SublayerInfo& s : sublayers()) {
        std::vector<std::string> keys;
        for (const std::string& key : s.settings) keys.push_back("model." + key);
        for (const std::string& key : option_keys(s.name, s.options)) keys.push_back(key);
        out.push_back({s.name,
                       s.title + ": " + s.definition,
                       {s.paper, listed("settings", keys), state_text(s)},
                       {},
                       {{"name", s.name},
                        {"title", s.title},
                        {"definition", s.definition},
                        {"paper", s.paper},
                        {"settings", keys}}});
    }
    return out;
}

std::vector<ListItem> optimizer_items() {
    std::vector<ListItem> out;
    for (const OptimizerInfo& o : optimizers()) {
        const auto keys = option_keys("train", o.options);
        out.push_back({o.name,
                       o.definition,
                       {o.paper, listed("options", keys)},
                       {fmt::format("plumb train train.optimizer={} ...", o.name)},
                       {{"name", o.name},
                        {"definition", o.definition},
                        {"paper", o.paper},
                        {"options", keys}}});
    }
    return out;
}

std::vector<ListItem> task_items() {
    std::vector<ListItem> out;
    for (const TaskInfo& t : tasks()) {
        const auto keys = option_keys("data", t.options);
        out.push_back({t.name,
                       t.summary,
                       {listed("options", keys)},
                       {fmt::format("plumb train data.task={} --out runs/{}", t.name, t.name)},
                       {{"name", t.name}, {"summary", t.summary}, {"options", keys}}});
    }
    return out;
}

std::vector<ListItem> corpus_items() {
    std::vector<ListItem> out;
    for (const CorpusInfo& c : corpora())
        out.push_back({c.name,
                       c.summary,
                       {"Debian package: " + c.package.name, "sha256: " + c.sha256},
                       {fmt::format("plumb data prepare {} --out data/{}", c.name, c.name)},
                       {{"name", c.name},
                        {"summary", c.summary},
                        {"package", c.package.name},
                        {"sha256", c.sha256}}});
    return out;
}

std::vector<ListItem> measure_items() {
    std::vector<ListItem> out;
    for (const Measure& m : measures())
        out.push_back({m.key,
                       m.meaning,
                       {fmt::format("{} ({}); {}", m.name, comparable_text(m), place_text(m.place)),
                        fmt::format("unit: {}", m.unit), fmt::format("reduction: {}", m.reduction)},
                       {},
                       to_json(m)});
    return out;
}

std::vector<ListItem> numerics_items() {
    std::vector<ListItem> out;
    for (const NumericsChange& c : numerics_changes()) {
        const FieldInfo* field = find_field(c.key);
        const std::string of =
            field ? fmt::format("of runs with another {} than {}", c.key, field->default_value)
                  : "of every run";
        out.push_back({std::to_string(c.since),
                       c.what,
                       {of},
                       {},
                       {{"since", c.since},
                        {"key", c.key},
                        {"default", json_value(field ? field->default_value : "null")},
                        {"what", c.what}}});
    }
    return out;
}

std::vector<ListItem> setting_items() {
    std::vector<ListItem> out;
    for (const FieldInfo& f : fields()) out.push_back(setting_item(f));
    return out;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    return text;
}

bool mentions(const ListItem& item, const std::string& word) {
    std::string text = item.name + "\n" + item.summary;
    for (const std::string& fact : item.facts) text += "\n" + fact;
    return lower(text).find(lower(word)) != std::string::npos;
}

std::vector<ListItem> chosen_items(const std::string& kind, const std::string& word) {
    std::vector<ListItem> items = list_items(kind);
    std::erase_if(items, [&](const ListItem& item) { return !mentions(item, word); });
    return items;
}

std::string kinds_text(const Terminal& terminal) {
    std::string out;
    for (const ListKind& k : list_kinds()) {
        std::string label = "plumb list " + k.name;
        for (const std::string& line : wrap(k.text, std::max(terminal.width - 26, 20))) {
            out += fmt::format("{:<26}{}\n", label, line);
            label.clear();
        }
    }
    return out;
}

std::string entry_text(const ListItem& item, std::size_t column, const Terminal& terminal) {
    std::string out, label = item.name;
    std::vector<std::string> paragraphs{item.summary};
    paragraphs.insert(paragraphs.end(), item.facts.begin(), item.facts.end());
    const int width = std::max(terminal.width - static_cast<int>(column), 20);
    for (const std::string& paragraph : paragraphs) {
        if (paragraph.empty()) continue;
        for (const std::string& line : wrap(paragraph, width)) {
            out += fmt::format("{:<{}}{}\n", label, column, line);
            label.clear();
        }
    }
    return out + "\n";
}

}  // namespace

const std::vector<ListKind>& list_kinds() {
    static const std::vector<ListKind> kinds{
        {"mixers", "depth mixers: what stands in for the residual connection"},
        {"sublayers", "what stands in a transformer block, between two reads of the mixer"},
        {"optimizers", "what makes a step of the gradients (train.optimizer=NAME)"},
        {"tasks", "built-in data with a known best loss (data.task=NAME)"},
        {"corpora", "texts that `plumb data prepare NAME` fetches"},
        {"settings", "every key=value of `plumb train`: what it means, and what it may be"},
        {"measures", "what a run and its probes record, and what may be compared between mixers"},
        {"numerics", "changes of this program that gave runs other losses, and which runs"}};
    return kinds;
}

std::vector<ListItem> list_items(const std::string& kind) {
    if (kind == "mixers") return mixer_items();
    if (kind == "sublayers") return sublayer_items();
    if (kind == "optimizers") return optimizer_items();
    if (kind == "tasks") return task_items();
    if (kind == "corpora") return corpus_items();
    if (kind == "settings") return setting_items();
    if (kind == "measures") return measure_items();
    if (kind == "numerics") return numerics_items();
    std::vector<std::string> names;
    for (const ListKind& k : list_kinds()) names.push_back(k.name);
    throw UsageError(fmt::format("nothing to list under '{}'{} (there are {})", kind,
                                 did_you_mean(kind, names), fmt::join(names, ", ")));
}

std::vector<std::string> kinds_that_mention(const std::string& word) {
    std::vector<std::string> out;
    for (const ListKind& kind : list_kinds())
        if (word.size() >= 3 && !chosen_items(kind.name, word).empty()) out.push_back(kind.name);
    return out;
}

std::string list_text(const std::string& kind, const Terminal& terminal, const std::string& word) {
    if (kind.empty()) return kinds_text(terminal);
    const std::vector<ListItem> items = chosen_items(kind, word);
    std::size_t column = 0;
    for (const ListItem& item : items) column = std::max(column, item.name.size() + 2);
    column = std::min<std::size_t>(column, 26);
    std::string out;
    for (const ListItem& item : items) out += entry_text(item, column, terminal);
    return out + fmt::format("{}: {}\n", kind, items.size());
}

std::string list_json(const std::string& kind, const std::string& word) {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    if (kind.empty())
        for (const ListKind& k : list_kinds()) out.push_back({{"kind", k.name}, {"text", k.text}});
    else
        for (const ListItem& item : chosen_items(kind, word)) out.push_back(item.json);
    return out.dump(2) + "\n";
}

void add_list_command(CLI::App& app) {
    struct Arguments {
        std::string kind, word;
        bool json = false;
    };
    auto args = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand("list",
                                           "mixers, sublayers, optimizers, tasks, corpora, "
                                           "settings, measures and numerics, with what they mean");
    std::string kinds;
    for (const ListKind& k : list_kinds()) kinds += (kinds.empty() ? "" : ", ") + k.name;
    command->add_option("KIND", args->kind, kinds + "; without one, what each kind is");
    command->add_option("WORD", args->word, "only entries that mention this");
    command->add_flag("--json", args->json, "print JSON");
    command->footer(kListExamples);
    command->callback([args] {
        fmt::print("{}", args->json ? list_json(args->kind, args->word)
                                    : list_text(args->kind, Terminal::of(stdout), args->word));
    });
}

}  // namespace plumb
