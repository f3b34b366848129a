#include "mixers/site.h"

#include <fmt/format.h>

namespace plumb {

std::string site_name(int l, int sublayers) {
    if (l == 0) return "embed";
    if (l > sublayers) return "output";
    return fmt::format("layer.{}.{}", (l - 1) / 2, l % 2 == 1 ? "attn" : "mlp");
}

}  // namespace plumb
