#include "ops/dropout.h"

#include "core/rng.h"

namespace plumb {

std::uint64_t dropout_stream(std::uint64_t pass, std::string_view site) {
    return hash_name(site) + pass * 0x9E3779B97F4A7C15U;
}

template <class T>
void dropout(const Context& ctx, const Dropout& d, View<T> x) {
    require(d.p >= 0 && d.threshold() < 65536, "dropout: p lies in [0, 1)");
    if (!d) return;
    const Timed timed(ctx.profile, Part::activation);
    dispatch(ctx, "dropout", [&](auto device) { dropout<T>(device, ctx, d, x); });
}

template void dropout(const Context&, const Dropout&, View<float>);
template void dropout(const Context&, const Dropout&, View<double>);
template void dropout(const Context&, const Dropout&, View<Bf16>);

}  // namespace plumb
