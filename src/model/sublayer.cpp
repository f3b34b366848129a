#include "model/sublayer.h"

#include "core/device_memory.h"
#include "ops/reduce.h"

#include <vector>

namespace plumb {
namespace {

// cos and sin (T, D/2) of what turns queries and keys; without positions nothing does.
template <class Real>
void position_table(const ModelConfig& m, View<Real> cos, View<Real> sin) {
    if (m.of("attn").text("rope") == "half") return rope_table(m.rope_base, cos, sin);
    const auto n = static_cast<std::size_t>(cos.count());
    put(cos, std::vector<Real>(n, 1).data());
    put(sin, std::vector<Real>(n, 0).data());
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const SublayerShape& shape, Plan& plan)
    : key(plan.state(std::optional<DropoutKey>())),
      first(plan.state(FirstValues<T>())),
      shape_(shape) {
    const ModelConfig& m = shape_.model;
    cos = plan.saved<Real>("work.cos", {{'T', m.context}, {'D', m.head_dim / 2}});
    sin = plan.saved<Real>("work.sin", {{'T', m.context}, {'D', m.head_dim / 2}});
    if (m.dropout > 0) dv = plan.scratch<T>("work.dv", {{'N', shape_.tokens()}, {'C', m.width}});
}

template <class T>
void Workspace<T>::prepare(const Frame& frame) const {
    position_table<Real>(shape_.model, frame.view(cos), frame.view(sin));
}

template <class T>
Dropout Workspace<T>::dropout(const Context& ctx, std::string_view site) const {
    const std::optional<DropoutKey>& of_pass = ctx(key);
    if (!of_pass || shape_.model.dropout == 0) return {};
    return {shape_.model.dropout, of_pass->seed, dropout_stream(of_pass->pass, site)};
}

template <class T>
View<const T> Workspace<T>::before_mask(const Context& ctx, std::string_view site,
                                        View<const T> x) const {
    const Dropout mask = dropout(ctx, site);
    if (!mask) return x;
    const View<T> before = ctx(dv);
    copy<T>(ctx, x, before);
    plumb::dropout<T>(ctx, mask, before);
    return before;
}

template <class T>
DecodeScratch<T>::DecodeScratch(const SublayerShape& shape, Index most_rows, Plan& plan)
    : rows(most_rows), model_(shape.model) {
    const ModelConfig& m = shape.model;
    cos = plan.saved<Real>("cos", {{'T', m.context}, {'D', m.head_dim / 2}});
    sin = plan.saved<Real>("sin", {{'T', m.context}, {'D', m.head_dim / 2}});
}

template <class T>
void DecodeScratch<T>::prepare(const Frame& frame) const {
    position_table<Real>(model_, frame.view(cos), frame.view(sin));
}

template struct Workspace<float>;
template struct Workspace<double>;
template struct Workspace<Bf16>;
template struct DecodeScratch<float>;
template struct DecodeScratch<double>;

}  // namespace plumb
