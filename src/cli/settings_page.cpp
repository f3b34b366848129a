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

// As it is typed.
std::string selector_of(const FieldInfo& f) {
    return f.selector == "mixer.name" ? "mixer" : f.selector;
}

// "mixer=hyper" where an option belongs to a mixer, optimizer or task; "" where to every run.
std::string owner_setting(const FieldInfo& f) {
    return f.owners.empty() ? "" : selector_of(f) + "=" + f.owners.front();
}

}  // namespace

ListItem setting_item(const FieldInfo& f) {
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
        item.facts.push_back(
            fmt::format("only with {}={}", selector_of(f), fmt::join(f.owners, " or ")));
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
