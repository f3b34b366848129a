#include "cli/settings_page.h"

#include "core/check.h"
#include "core/text.h"

namespace plumb {
namespace {

// A value that shows how one is typed: another choice than the default, or the default itself.
std::string example_value(const FieldInfo& f) {
    for (const std::string& c : f.choices)
        if (!c.empty() && fmt::format("\"{}\"", c) != f.default_value) return c;
    if (f.key == "data.path") return "data/austen";
    if (f.type == "list") return "NAME";
    if (f.type == "boolean") return f.default_value == "true" ? "false" : "true";
    std::string value = f.default_value;
    std::erase(value, '"');
    return value.empty() ? "TEXT" : value;
}

std::string toml_text(const FieldInfo& f, const std::string& value) {
    if (f.type == "list") return fmt::format("[\"{}\"]", value);
    return f.type == "text" ? fmt::format("\"{}\"", value) : value;
}

// "mixer=hyper" where an option belongs to a mixer or a task; "" where it belongs to every run.
std::string owner_setting(const FieldInfo& f) {
    if (f.owners.empty()) return "";
    return (f.key.starts_with("mixer.") ? "mixer=" : "data.task=") + f.owners.front();
}

}  // namespace

ListItem setting_item(const FieldInfo& f) {
    const bool of_mixer = f.key.starts_with("mixer.");
    const std::string value = example_value(f), owner = owner_setting(f);
    const std::size_t dot = f.key.find('.');
    ListItem item;
    item.name = f.key;
    item.summary = f.help;
    item.facts = {fmt::format("{}, default {}{}", f.type, f.default_value,
                              f.allowed.empty()   ? ""
                              : f.choices.empty() ? ", " + f.allowed
                                                  : ", one of " + f.allowed)};
    if (!f.owners.empty())
        item.facts.push_back(fmt::format("only with {}={}", of_mixer ? "mixer" : "data.task",
                                         fmt::join(f.owners, " or ")));
    item.facts.push_back(f.changes_numbers
                             ? "changes the numbers of a run"
                             : "does not change the numbers of a run; may change at a resume");
    item.usage = {
        fmt::format("plumb train {}{}{}={} ...", owner, owner.empty() ? "" : " ", f.key, value),
        "",
        "or in a file for -c:",
        "",
        fmt::format("[{}]", f.key.substr(0, dot)),
        fmt::format("{} = {}", f.key.substr(dot + 1), toml_text(f, value))};
    item.json = {{"key", f.key},
                 {"type", f.type},
                 {"default", nlohmann::json::parse(f.default_value)},
                 {"allowed", f.allowed},
                 {"choices", f.choices},
                 {"meaning", f.help},
                 {"only_with", f.owners},
                 {"changes_numbers", f.changes_numbers}};
    return item;
}

}  // namespace plumb
