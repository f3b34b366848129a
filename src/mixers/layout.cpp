#include "mixers/layout.h"

#include "core/check.h"

#include <array>

namespace plumb {
namespace {

// In a block; of several of a kind the second is attn2.
std::vector<std::string> names_of(const std::vector<std::string>& kinds) {
    std::vector<std::string> names;
    for (auto kind = kinds.begin(); kind != kinds.end(); ++kind) {
        const auto before = std::count(kinds.begin(), kind, *kind);
        names.push_back(before == 0 ? *kind : *kind + std::to_string(before + 1));
    }
    return names;
}

}  // namespace

Layout::Layout(const std::vector<std::string>& kinds, int blocks)
    : n_kinds_(static_cast<int>(kinds.size())),
      places_(std::make_shared<std::vector<Place>>(places(kinds, blocks * n_kinds_))) {}

Layout::Layout(int sublayers)
    : n_kinds_(2),
      places_(std::make_shared<std::vector<Place>>(places({"attn", "mlp"}, sublayers))) {}

std::vector<Layout::Place> Layout::places(const std::vector<std::string>& kinds, int sublayers) {
    require(!kinds.empty() && sublayers >= 0, "a layout without sublayers");
    std::vector<Place> all{{"embed", "embed", -1, false}};
    const std::vector<std::string> names = names_of(kinds);
    const int size = static_cast<int>(kinds.size());
    for (int i = 0; i < sublayers; ++i) {
        const auto k = static_cast<std::size_t>(i % size);
        const int block = i / size;
        all.push_back({kinds[k], block_name(block) + "." + names[k], block, k == 0});
    }
    all.push_back({"output", "output", (sublayers + size - 1) / size, true});
    return all;
}

std::string Layout::block_name(int block) { return fmt::format("layer.{}", block); }

const char* way_name(int way) {
    constexpr std::array names{"q", "k", "v"};
    return names.at(static_cast<std::size_t>(way));
}

}  // namespace plumb
