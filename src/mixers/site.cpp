#include "mixers/site.h"

#include "core/check.h"

#include <array>

namespace plumb {

std::string site_name(int l, int sublayers) {
    if (l == 0) return "embed";
    if (l > sublayers) return "output";
    return fmt::format("layer.{}.{}", (l - 1) / 2, l % 2 == 1 ? "attn" : "mlp");
}

const char* way_name(int way) {
    constexpr std::array names{"q", "k", "v"};
    return names.at(static_cast<std::size_t>(way));
}

}  // namespace plumb
