#include "mixers/layout.h"

#include "core/check.h"

#include <array>

namespace plumb {

Layout::Layout(const std::vector<std::string>& kinds, int blocks)
    : n_kinds_(static_cast<int>(kinds.size())),
      places_(std::make_shared<std::vector<Place>>(places(kinds, blocks * n_kinds_))) {}

Layout::Layout(int sublayers)
    : n_kinds_(2),
      places_(std::make_shared<std::vector<Place>>(places({"attn", "mlp"}, sublayers))) {}

std::vector<Layout::Place> Layout::places(const std::vector<std::string>& kinds, int sublayers) {
    require(!kinds.empty() && sublayers >= 0, "a layout without sublayers");
    std::vector<Place> all{{"embed", "embed", -1, false}};
    const int size = static_cast<int>(kinds.size());
    for (int i = 0; i < sublayers; ++i) {
        const std::string& kind = kinds[static_cast<std::size_t>(i % size)];
        const int block = i / size;
        all.push_back({kind, block_name(block) + "." + kind, block, i % size == 0});
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
