// Settings in TOML files: reading one, and what a value is as a setting. Internal to config/
// and sweep/, whose files have settings in other tables.
#pragma once

#include "config/config_fields.h"

#include <toml++/toml.h>

#include <filesystem>
#include <string>

namespace plumb {

// Throws IoError if it cannot be read, UsageError for broken TOML.
toml::table parse_toml_file(const std::filesystem::path& path);

// "run.toml:12"
std::string toml_place(const std::filesystem::path& path, const toml::node& node);

struct TypedValue {
    std::string typed;  // as on a command line
    std::string shown;  // as in the file, for messages
};
// The value of `field` that the node is. Throws UsageError unless it has the field's own type; but
// an integer is also a number, a whole number is an integer (1e3), and a highway bias may be
// written as a number.
TypedValue typed_value(const FieldRef& field, const toml::node& node, const std::string& where);

// The same of a setting by name, without a config: its key in full, the value as on a command line,
// and as values() gives it. Throws UsageError as load_config, for what one value can do wrong.
struct SettingValue {
    std::string key, typed, text;
};
SettingValue setting_value(const std::string& key, const toml::node& node,
                           const std::string& where);
SettingValue setting_value(const std::string& key, std::string_view typed,
                           const std::string& where);

}  // namespace plumb
