#include "config/config_toml.h"

#include "config/toml_guard.h"
#include "core/check.h"
#include "core/files.h"

namespace plumb {
namespace fs = std::filesystem;

toml::table parse_toml_file(const fs::path& path) {
    const std::string text = read_file(path);
    check_toml(text, path.string());
    try {
        return toml::parse(text, path.string());
    } catch (const toml::parse_error& e) {
        throw UsageError(fmt::format("{}:{}: not valid TOML: {}", path.string(),
                                     e.source().begin.line, e.description()));
    }
}

std::string toml_place(const fs::path& path, const toml::node& node) {
    return fmt::format("{}:{}", path.string(), node.source().begin.line);
}

TypedValue typed_value(const FieldRef& field, const toml::node& node, const std::string& where) {
    const std::string type = field.type();
    TypedValue value{"", "an array, table or date"};
    bool fits = false;
    if (const auto* i = node.as_integer()) {
        value.typed = value.shown = fmt::format("{}", i->get());
        fits = type == "integer" || type == "number" || field.rule.number_too;
    } else if (const auto* x = node.as_floating_point()) {
        value.typed = value.shown = fmt::format("{}", x->get());
        fits = type == "number" || type == "integer" || field.rule.number_too;
    } else if (const auto* b = node.as_boolean()) {
        value.typed = value.shown = b->get() ? "true" : "false";
        fits = type == "boolean";
    } else if (const auto* s = node.as_string()) {
        value.typed = s->get();
        value.shown = fmt::format("\"{}\"", value.typed);
        fits = type == "text" || type == "list";
    } else if (const auto* list = node.as_array(); list && type == "list") {
        fits = list->empty() || list->is_homogeneous(toml::node_type::string);
        for (const auto& word : *list)
            if (fits) value.typed += (value.typed.empty() ? "" : ",") + word.as_string()->get();
        value.shown = "an array of other things than text";
    }
    if (!fits)
        throw UsageError(fmt::format("{}: {} = {} has the wrong type; it takes {} {}", where,
                                     field.key, value.shown, type == "integer" ? "an" : "a", type));
    return value;
}

}  // namespace plumb
