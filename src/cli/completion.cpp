#include "cli/completion.h"

#include "cli/list_command.h"
#include "config/config.h"
#include "core/check.h"
#include "core/text.h"
#include "record/measures.h"

#include <algorithm>
#include <memory>
#include <sstream>

namespace plumb {
namespace {

const CommandDoc* find_below(const CommandDoc& doc, const std::string& word) {
    for (const CommandDoc& c : doc.commands)
        if (c.name == doc.name + " " + word) return &c;
    return nullptr;
}

const OptionDoc* find_option(const CommandDoc& doc, const std::string& name) {
    for (const OptionDoc& o : doc.options)
        if (!o.positional && std::find(o.names.begin(), o.names.end(), name) != o.names.end())
            return &o;
    return nullptr;
}

std::vector<Candidate> names_of(const std::string& kind) {
    std::vector<Candidate> out;
    for (const ListItem& item : list_items(kind)) out.push_back({item.name, item.summary});
    return out;
}

// Of a row of what `plumb list KIND` shows; "" without a kind.
std::string summary_of(const std::string& kind, const std::string& name) {
    if (!kind.empty())
        for (const ListItem& item : list_items(kind))
            if (item.name == name) return item.summary;
    return "";
}

// key= for every setting; after the '=' its values.
std::vector<Candidate> settings_for(const std::string& word) {
    const std::size_t equals = word.find('=');
    std::vector<Candidate> out;
    if (equals == std::string::npos) {
        out.push_back({"mixer=", "short for mixer.name"});
        for (const FieldInfo& f : fields()) out.push_back({f.key + "=", f.help});
        return out;
    }
    const std::string typed = word.substr(0, equals), key = typed == "mixer" ? "mixer.name" : typed;
    if (key == "data.path") return {{":folders", ""}};
    for (const FieldInfo& f : fields()) {
        if (f.key != key) continue;
        for (const std::string& c : f.choices)
            if (!c.empty()) out.push_back({typed + "=" + c, summary_of(f.kind, c)});
        if (f.type == "boolean")
            out.insert(out.end(), {{typed + "=true", ""}, {typed + "=false", ""}});
    }
    return out;
}

std::vector<Candidate> topics(const CommandDoc& plumb) {
    std::vector<Candidate> out;
    for (const CommandDoc& c : plumb.commands) out.push_back({c.name.substr(6), c.text});
    for (const ListKind& kind : list_kinds())
        for (const Candidate& c : names_of(kind.name)) out.push_back(c);
    return out;
}

std::string upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

// What a value or an argument of this name may be; choices are written a|b|c.
std::vector<Candidate> values_for(const CommandDoc& plumb, const std::string& name,
                                  const std::string& word) {
    const std::string kind = upper(name);
    std::vector<Candidate> out;
    if (name.find('|') != std::string::npos) {
        std::istringstream choices(name);
        for (std::string c; std::getline(choices, c, '|');) out.push_back({c, ""});
        return out;
    }
    if (kind == "SETTINGS") return settings_for(word);
    if (kind == "MIXER" || kind == "NAME[:KEY=VALUE]") {
        out = names_of("mixers");
        out.push_back({"all", "every mixer"});
        return out;
    }
    if (kind == "KIND")
        for (const ListKind& k : list_kinds()) out.push_back({k.name, k.text});
    if (kind == "TOPIC") return topics(plumb);
    if (kind == "MEASURE")
        for (const Measure* m : measures_of(MeasurePlace::depth))
            if (m->field) out.push_back({m->key, m->meaning});
    if (kind == "RUN" || kind == "DIR") return {{":folders", ""}};
    if (name == "text") {  // of `data prepare`; an option's TEXT is any
        out = names_of("corpora");
        out.push_back({":files", ""});
    }
    if (kind == "FILE" || kind == "FILE.TOML") return {{":files", ""}};
    return out;
}

struct Place {
    const CommandDoc* command;
    const OptionDoc* awaiting = nullptr;  // an option whose value the last word is
    std::size_t n_arguments = 0;          // before the last word
};

Place place_of(const CommandDoc& plumb, const std::vector<std::string>& words) {
    Place at{&plumb};
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        const std::string& word = words[i];
        if (at.awaiting) {
            at.awaiting = nullptr;
        } else if (word.starts_with("-")) {
            const OptionDoc* option = find_option(*at.command, word);
            if (option && !option->value.empty()) at.awaiting = option;
        } else if (const CommandDoc* below = find_below(*at.command, word)) {
            at.command = below;
        } else {
            ++at.n_arguments;
        }
    }
    return at;
}

std::vector<Candidate> offered(const CommandDoc& plumb, const std::vector<std::string>& words) {
    const Place at = place_of(plumb, words);
    const std::string& word = words.back();
    if (at.awaiting) return values_for(plumb, at.awaiting->value, word);
    std::vector<Candidate> out;
    if (word.starts_with("-")) {
        for (const OptionDoc& o : at.command->options)
            if (!o.positional) out.push_back({o.names.back(), o.text});
        return out;
    }
    for (const CommandDoc& c : at.command->commands)
        out.push_back({c.name.substr(at.command->name.size() + 1), c.text});
    std::vector<const OptionDoc*> arguments;
    for (const OptionDoc& o : at.command->options)
        if (o.positional) arguments.push_back(&o);
    if (arguments.empty()) return out;
    const bool beyond = at.n_arguments >= arguments.size();
    if (beyond && !arguments.back()->many) return out;
    const OptionDoc& argument = *arguments[beyond ? arguments.size() - 1 : at.n_arguments];
    for (const Candidate& c : values_for(plumb, argument.names.front(), word)) out.push_back(c);
    return out;
}

}  // namespace

std::vector<Candidate> complete(const CommandDoc& plumb, const std::vector<std::string>& words) {
    if (words.empty()) return complete(plumb, {""});
    std::vector<Candidate> out = offered(plumb, words);
    std::erase_if(out, [&](const Candidate& c) {
        return !c.word.starts_with(":") && !c.word.starts_with(words.back());
    });
    return out;
}

bool print_completion(const CLI::App& app, const std::vector<std::string>& words) {
    if (words.size() < 2 || words[0] != "complete" || words[1] != "--") return false;
    const std::vector<std::string> typed(words.begin() + 2, words.end());
    for (const Candidate& c : complete(describe(app, "plumb"), typed))
        fmt::print("{}\t{}\n", c.word, c.text);
    return true;
}

void add_completion_command(CLI::App& app) {
    auto shell = std::make_shared<std::string>();
    CLI::App* command =
        app.add_subcommand("completion", "a script that completes plumb's commands in your shell");
    command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
    command->footer(R"(`cmake --install` puts it where the shells look. By hand:
Examples:
  plumb completion bash > ~/.local/share/bash-completion/completions/plumb
  plumb completion zsh > ~/.zfunc/_plumb
  plumb completion fish > ~/.config/fish/completions/plumb.fish
)");
    command->callback([shell] { fmt::print("{}", completion_script(*shell)); });
}

}  // namespace plumb
