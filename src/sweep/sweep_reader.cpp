#include "sweep/sweep_reader.h"

#include "core/check.h"
#include "core/text.h"

#include <algorithm>

namespace plumb {
namespace {

const std::vector<std::string> kTables{"sweep", "scale", "grid", "zip", "tune", "cull"};
const std::vector<std::string> kLists{"variant", "when", "exclude"};

bool contains(const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

struct Leaf {
    std::string key;
    const toml::node* node;
};

// Values of a table by dotted keys, in the order of the file.
void collect(const toml::table& table, const std::string& prefix, std::vector<Leaf>& out) {
    for (const auto& [name, node] : table) {
        const std::string key = prefix + std::string(name.str());
        if (const toml::table* inner = node.as_table())
            collect(*inner, key + ".", out);
        else
            out.push_back({key, &node});
    }
}

std::vector<Leaf> leaves(const toml::table& table, const std::vector<std::string>& but) {
    std::vector<Leaf> out, kept;
    collect(table, "", out);
    for (Leaf& leaf : out)
        if (!contains(but, leaf.key)) kept.push_back(leaf);
    std::stable_sort(kept.begin(), kept.end(), [](const Leaf& a, const Leaf& b) {
        return a.node->source().begin.line < b.node->source().begin.line;
    });
    return kept;
}

}  // namespace

SweepReader::SweepReader(const std::filesystem::path& path)
    : path_(path), root_(parse_toml_file(path)) {
    std::vector<std::string> known = kTables;
    known.insert(known.end(), kLists.begin(), kLists.end());
    for (const auto& [name, node] : root_) {
        const std::string word(name.str());
        if (!contains(known, word))
            fault(place(node),
                  fmt::format("unknown table '{}'{}; a sweep file has [{}] and [[{}]]", word,
                              did_you_mean(word, known), fmt::join(kTables, "], ["),
                              fmt::join(kLists, "]], [[")));
        else if (contains(kTables, word) && !node.is_table())
            fault(place(node), fmt::format("{} is a table: [{}]", word, word));
        else if (contains(kLists, word) && !node.is_array_of_tables())
            fault(place(node), fmt::format("{} is a list of tables: [[{}]]", word, word));
    }
}

void SweepReader::throw_faults() const {
    if (faults_.empty()) return;
    if (faults_.size() == 1) throw UsageError(faults_.front());
    throw UsageError(fmt::format("{} faults, and nothing was begun:\n  {}", faults_.size(),
                                 fmt::join(faults_, "\n  ")));
}

void SweepReader::fault(const std::string& where, const std::string& what) {
    faults_.push_back(fmt::format("{}: {}", where, what));
}

void SweepReader::fault(const std::string& table, const std::string& key, const std::string& what) {
    const toml::node* node = find(table, key);
    if (node == nullptr) node = root_.get(table);
    fault(node != nullptr ? place(*node) : path_.string(), what);
}

void SweepReader::attempt(const std::function<void()>& work) {
    try {
        work();
    } catch (const UsageError& e) {
        faults_.emplace_back(e.what());
    }
}

long SweepReader::line(const std::string& table_name, const std::string& key) {
    const toml::node* node = key.empty() ? root_.get(table_name) : find(table_name, key);
    return node == nullptr ? 0 : static_cast<long>(node->source().begin.line);
}

std::string SweepReader::place(const toml::node& node) const { return toml_place(path_, node); }

const toml::table* SweepReader::table(const std::string& name) {
    return root_.get_as<toml::table>(name);
}

std::vector<const toml::table*> SweepReader::tables(const std::string& name) {
    std::vector<const toml::table*> out;
    const auto* list = root_.get_as<toml::array>(name);
    if (list != nullptr && list->is_homogeneous(toml::node_type::table))
        for (const toml::node& node : *list) out.push_back(node.as_table());
    return out;
}

const toml::node* SweepReader::find(const std::string& table_name, const std::string& key) {
    const toml::table* t = table(table_name);
    return t == nullptr ? nullptr : t->get(key);
}

bool SweepReader::has(const std::string& table_name, const std::string& key) {
    return find(table_name, key) != nullptr;
}

std::size_t SweepReader::keys(const std::string& table_name, const std::vector<std::string>& but) {
    const toml::table* t = table(table_name);
    return t == nullptr ? 0 : leaves(*t, but).size();
}

void SweepReader::words(const std::string& table_name, const std::vector<std::string>& known) {
    const toml::table* t = table(table_name);
    if (t == nullptr) return;
    for (const auto& [name, node] : *t)
        if (const std::string word(name.str()); !contains(known, word))
            fault(place(node), fmt::format("[{}] has no '{}'{}; it has {}", table_name, word,
                                           did_you_mean(word, known), fmt::join(known, ", ")));
}

std::string SweepReader::text(const std::string& table_name, const std::string& key,
                              const std::string& fallback) {
    const toml::node* node = find(table_name, key);
    if (node == nullptr) return fallback;
    if (const auto* s = node->as_string()) return s->get();
    fault(place(*node), fmt::format("{} takes a text in quotes", key));
    return fallback;
}

double SweepReader::number(const std::string& table_name, const std::string& key, double fallback) {
    const toml::node* node = find(table_name, key);
    if (node == nullptr) return fallback;
    if (const auto x = node->value<double>(); x && node->is_number()) return *x;
    fault(place(*node), fmt::format("{} takes a number", key));
    return fallback;
}

std::vector<long> SweepReader::integers(const std::string& table_name, const std::string& key,
                                        const std::vector<long>& fallback) {
    const toml::node* node = find(table_name, key);
    if (node == nullptr) return fallback;
    std::string text;
    if (const auto* s = node->as_string()) {
        text = s->get();
    } else if (const auto* list = node->as_array();
               list != nullptr && list->is_homogeneous(toml::node_type::integer)) {
        for (const toml::node& n : *list)
            text += fmt::format("{}{}", text.empty() ? "" : ",", n.as_integer()->get());
    } else {
        fault(place(*node), fmt::format("{} takes a list of whole numbers, or \"1..5\"", key));
        return fallback;
    }
    std::vector<long> out = fallback;
    attempt([&] { out = parse_seeds(text, place(*node)); });
    return out;
}

std::vector<std::string> SweepReader::texts(const std::string& table_name, const std::string& key,
                                            const std::vector<std::string>& fallback) {
    const toml::node* node = find(table_name, key);
    if (node == nullptr) return fallback;
    const auto* list = node->as_array();
    if (list == nullptr || !list->is_homogeneous(toml::node_type::string)) {
        fault(place(*node), fmt::format("{} takes a list of texts", key));
        return fallback;
    }
    std::vector<std::string> out;
    for (const toml::node& n : *list) out.push_back(n.as_string()->get());
    return out;
}

std::vector<PlacedSetting> SweepReader::settings(const toml::table& t,
                                                 const std::vector<std::string>& but) {
    std::vector<PlacedSetting> out;
    for (const Leaf& leaf : leaves(t, but))
        attempt([&] {
            const std::string where = place(*leaf.node);
            const SettingValue value = setting_value(leaf.key, *leaf.node, where);
            if (value.key == "train.seed")
                throw UsageError(where +
                                 ": train.seed is not a setting of a sweep; its seeds are "
                                 "in [sweep]: seeds = \"1..5\"");
            out.push_back({value.key, value.typed, where});
        });
    return out;
}

std::vector<SweepAxis> SweepReader::axes(const toml::table& t,
                                         const std::vector<std::string>& but) {
    std::vector<SweepAxis> out;
    for (const Leaf& leaf : leaves(t, but))
        attempt([&] {
            SweepAxis axis{leaf.key, {}, place(*leaf.node)};
            const auto add = [&](const toml::node& node) {
                const SettingValue value = setting_value(leaf.key, node, axis.where);
                axis.key = value.key;
                axis.values.push_back({value.typed, value.text});
            };
            if (const toml::array* list = leaf.node->as_array())
                for (const toml::node& node : *list) add(node);
            else
                add(*leaf.node);
            if (axis.key == "train.seed")
                throw UsageError(axis.where +
                                 ": train.seed is not a setting of a sweep; its seeds "
                                 "are in [sweep]: seeds = \"1..5\"");
            if (axis.values.empty())
                throw UsageError(
                    fmt::format("{}: {} = [] leaves nothing to run", axis.where, axis.key));
            out.push_back(std::move(axis));
        });
    return out;
}

}  // namespace plumb
