// The tables of a sweep file, read so that all its faults are told at once.
#pragma once

#include "config/config_toml.h"
#include "sweep/sweep_file.h"

#include <toml++/toml.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace plumb {

class SweepReader {
public:
    // Throws IoError, or UsageError for broken TOML. Unknown tables are faults.
    explicit SweepReader(const std::filesystem::path& path);

    // Throws UsageError with every fault, if there are any.
    void throw_faults() const;
    void fault(const std::string& where, const std::string& what);
    // Of [table] key, if it is there, else of the table.
    void fault(const std::string& table, const std::string& key, const std::string& what);
    // What `work` throws as UsageError becomes a fault.
    void attempt(const std::function<void()>& work);

    // Line of [table] key, or of [table] for no key; 0: it is not there.
    long line(const std::string& table, const std::string& key);
    std::string place(const toml::node& node) const;
    std::string place_of_file() const { return path_.string(); }

    const toml::table* table(const std::string& name);                // nullptr: none
    std::vector<const toml::table*> tables(const std::string& name);  // of [[name]]
    bool has(const std::string& table, const std::string& key);
    // How many settings [table] has, these words apart.
    std::size_t keys(const std::string& table, const std::vector<std::string>& but);
    // Keys of [table] that are none of these are faults.
    void words(const std::string& table, const std::vector<std::string>& known);

    std::string text(const std::string& table, const std::string& key, const std::string& fallback);
    double number(const std::string& table, const std::string& key, double fallback);
    // A list of integers, or "1..5".
    std::vector<long> integers(const std::string& table, const std::string& key,
                               const std::vector<long>& fallback);
    std::vector<std::string> texts(const std::string& table, const std::string& key,
                                   const std::vector<std::string>& fallback);

    // The settings of a table, nested ones by dotted keys; without the keys in `but`.
    std::vector<PlacedSetting> settings(const toml::table& table,
                                        const std::vector<std::string>& but);
    // The same where a setting may be a list of values.
    std::vector<SweepAxis> axes(const toml::table& table, const std::vector<std::string>& but);

private:
    const toml::node* find(const std::string& table, const std::string& key);

    std::filesystem::path path_;
    toml::table root_;
    std::vector<std::string> faults_;
};

}  // namespace plumb
