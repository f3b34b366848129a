#include "core/profile.h"

namespace plumb {

const char* part_name(Part part) {
    constexpr std::array<const char*, kParts> kNames{"gemm", "attention", "mixer",    "activation",
                                                     "loss", "embedding", "optimizer"};
    return kNames.at(static_cast<std::size_t>(part));
}

}  // namespace plumb
