#include "model/interventions.h"

#include "core/check.h"
#include "core/rng.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace plumb {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::vector<std::string> split(const std::string& text, char by) {
    std::vector<std::string> parts{""};
    for (const char c : text) {
        if (c == by)
            parts.emplace_back();
        else
            parts.back() += c;
    }
    return parts;
}

template <class Number>
bool read_number(const std::string& text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

// One item of a list: a number, a range or a name -> first and last depth.
struct DepthRange {
    int first, last;
};

// `low` and `high`: depths that exist; high = L+1 where the output is one.
DepthRange parse_item(const std::string& item, const Layout& layout, const std::string& option,
                      int low, int high) {
    const auto refuse = [&] {
        throw UsageError(fmt::format(
            "{}: '{}' is not one of {} to {}{}; type a number, a range such as {}-{}, or a name "
            "such as {} or layer.0",
            option, item, low, high, low == 0 ? " (0 is the embedding)" : "", std::max(low, 1),
            high, layout.name(std::min(2, layout.sublayers()))));
    };
    DepthRange range{-1, -1};
    if (item == "all") range = {1, std::min(high, layout.sublayers())};
    if (const auto dash = item.find('-'); dash != item.npos) {
        if (!read_number(item.substr(0, dash), range.first) ||
            !read_number(item.substr(dash + 1), range.last))
            refuse();
    } else if (int n = 0; read_number(item, n)) {
        range = {n, n};
    }
    for (int l = low; l <= high; ++l) {
        if (item == layout.name(l)) range = {l, l};
        if (l < 1 || l > layout.sublayers() || item != Layout::block_name(layout.block(l)))
            continue;
        range = {layout.begins_block(l) ? l : range.first, l};
    }
    if (range.first < low || range.last > high || range.first > range.last) refuse();
    return range;
}

std::vector<int> parse_list(const std::string& text, const Layout& layout,
                            const std::string& option, int low, int high) {
    std::vector<int> out;
    for (const std::string& item : split(text, ',')) {
        const DepthRange range = parse_item(item, layout, option, low, high);
        for (int l = range.first; l <= range.last; ++l)
            if (std::find(out.begin(), out.end(), l) == out.end()) out.push_back(l);
    }
    return out;
}

// Shuffles the first k places of `items` (Fisher-Yates): k of them without replacement.
template <class Item>
void draw_first(std::vector<Item>& items, std::size_t k, const CounterRng& rng,
                std::uint64_t& next) {
    for (std::size_t i = 0; i < k; ++i)
        std::swap(items[i], items[i + rng.below(next++, items.size() - i)]);
}

}  // namespace

Interventions::Interventions(const Layout& of)
    : layout(of), gain(at(of.sublayers() + 1), 1.0), order(at(of.sublayers())) {
    std::iota(order.begin(), order.end(), 1);
    for (int l = 1; l <= sublayers() + 1; ++l) masked.emplace_back(at(l), false);
}

bool Interventions::masks(int l) const {
    const std::vector<bool>& row = masked[at(l - 1)];
    return std::find(row.begin(), row.end(), true) != row.end();
}

bool Interventions::masks() const {
    for (int l = 1; l <= sublayers() + 1; ++l)
        if (masks(l)) return true;
    return false;
}

std::vector<int> parse_depths(const std::string& text, const Layout& layout,
                              const std::string& option, bool with_embedding) {
    return parse_list(text, layout, option, with_embedding ? 0 : 1, layout.sublayers());
}

std::vector<int> parse_reads(const std::string& text, const Layout& layout,
                             const std::string& option) {
    return parse_list(text, layout, option, 1, layout.sublayers() + 1);
}

void add_drop(Interventions& what, const std::string& text) {
    for (const int l : parse_depths(text, what.layout, "--drop", true)) what.gain[at(l)] = 0;
}

void add_gain(Interventions& what, const std::string& text) {
    std::string sublayers;  // up to the next number
    for (const std::string& item : split(text, ',')) {
        const auto equals = item.find('=');
        sublayers += (sublayers.empty() ? "" : ",") + item.substr(0, equals);
        if (equals == item.npos) continue;
        double gain = 0;
        if (!read_number(item.substr(equals + 1), gain) || !std::isfinite(gain)) break;
        for (const int l : parse_depths(sublayers, what.layout, "--gain", true))
            what.gain[at(l)] *= gain;
        sublayers.clear();
    }
    if (!sublayers.empty())
        throw UsageError(
            fmt::format("--gain {}: use SUBLAYER=NUMBER, for example --gain 5=0.5", text));
}

void add_swap(Interventions& what, const std::string& text) {
    const std::vector<std::string> pair = split(text, ',');
    if (pair.size() != 2)
        throw UsageError(fmt::format(
            "--swap {}: use two sublayers or blocks, for example --swap layer.1,layer.2", text));
    const std::vector<int> a = parse_depths(pair[0], what.layout, "--swap", false);
    const std::vector<int> b = parse_depths(pair[1], what.layout, "--swap", false);
    if (a.size() != b.size())
        throw UsageError(fmt::format("--swap {}: {} sublayers cannot take the place of {}", text,
                                     a.size(), b.size()));
    for (std::size_t k = 0; k < a.size(); ++k)
        std::swap(what.order[at(a[k] - 1)], what.order[at(b[k] - 1)]);
}

void add_mask(Interventions& what, const std::string& text) {
    const int last = what.sublayers();
    for (const std::string& item : split(text, ',')) {
        const auto colon = item.find(':');
        const bool plain = colon == item.npos;
        const DepthRange sources =
            parse_item(plain ? item : item.substr(colon + 1), what.layout, "--mask", 0, last);
        const DepthRange reads =
            plain ? DepthRange{1, last + 1}
                  : parse_item(item.substr(0, colon), what.layout, "--mask", 1, last + 1);
        if (!plain && sources.last >= reads.first)
            throw UsageError(fmt::format("--mask {}: read {} is before source {} is written", item,
                                         reads.first, sources.last));
        for (int l = reads.first; l <= reads.last; ++l)
            for (int i = sources.first; i <= std::min(sources.last, l - 1); ++i)
                if (!plain || l > 1) what.masked[at(l - 1)][at(i)] = true;
    }
    for (int l = 1; l <= last + 1; ++l) {
        const std::vector<bool>& row = what.masked[at(l - 1)];
        if (std::find(row.begin(), row.end(), false) == row.end())
            throw UsageError(fmt::format("--mask {}: leaves nothing for read {} ({})", text, l,
                                         what.layout.name(l)));
    }
}

Interventions random_control(const Interventions& what, std::uint64_t seed, int draw) {
    const CounterRng rng(seed, fmt::format("control/{}", draw));
    std::uint64_t next = 0;
    Interventions out = what;
    for (auto& row : out.masked) {
        const auto k = static_cast<std::size_t>(std::count(row.begin(), row.end(), true));
        std::vector<std::size_t> sources(row.size());
        std::iota(sources.begin(), sources.end(), std::size_t{0});
        draw_first(sources, k, rng, next);
        row.assign(row.size(), false);
        for (std::size_t i = 0; i < k; ++i) row[sources[i]] = true;
    }
    std::vector<std::size_t> places;  // what a drop could have hit
    std::size_t dropped = 0;
    for (std::size_t i = 0; i < what.gain.size(); ++i) {
        const bool drop = what.gain[i] == 0;
        dropped += drop;
        if (drop || (i > 0 && what.gain[i] == 1)) places.push_back(i);
    }
    draw_first(places, dropped, rng, next);
    for (std::size_t i = 0; i < out.gain.size(); ++i)
        if (out.gain[i] == 0) out.gain[i] = 1;
    for (std::size_t i = 0; i < dropped; ++i) out.gain[places[i]] = 0;
    return out;
}

}  // namespace plumb
