// What RowOnGpu knows of a rule, its tensors, its calls. The passes are in running_row.cu.
#include "mixers/memories/row_on_gpu.h"

#include "core/gpu.h"
#include "mixers/memories/on_gpu.h"

#include <cmath>

namespace plumb {
namespace {

// a of one group of channels, of the numbers that it has of its own: number g of each G numbers.
ScalarProgram group_program(const Rule& rule, const RowUses& uses, int l) {
    const auto groups = static_cast<std::size_t>(uses.groups);
    const auto numbers = static_cast<std::size_t>(uses.n_numbers);
    return {static_cast<int>(uses.n_numbers / uses.groups), 0,
            [&](const Traced* own, const Traced*) {
                std::vector<Traced> p(numbers), a(2 * groups);
                for (std::size_t i = 0; i < numbers; i += groups) p[i] = own[i / groups];
                const Traced* none = nullptr;
                rule.write(l, none, none, p.data(), a.data());
                a.resize(2);
                return a;
            }};
}

// Whether that is all there is to A: tried on numbers that no two groups have in common.
bool is_of_groups(const Rule& rule, const RowUses& uses, int l, const ScalarProgram& program) {
    const auto groups = static_cast<std::size_t>(uses.groups);
    const auto numbers = static_cast<std::size_t>(uses.n_numbers);
    std::vector<double> p, own(numbers / groups), a(2 * groups, 0.0), got(2);
    for (std::size_t i = 0; i < numbers; ++i)
        p.push_back(0.6 + 0.3 * std::sin(static_cast<double>(i + 1)));
    const double* none = nullptr;
    rule.write(l, none, none, p.data(), a.data());
    for (std::size_t g = 0; g < groups; ++g) {
        for (std::size_t i = 0; i < own.size(); ++i) own[i] = p[i * groups + g];
        program.forward(static_cast<const double*>(own.data()), none, got.data());
        for (std::size_t i = 0; i < 2; ++i)
            if (!(std::abs(got[i] - a[2 * g + i]) <= 1e-12)) return false;
    }
    return true;
}

}  // namespace

RowDotPlaces::RowDotPlaces(const RowUses& uses)
    : n_u(static_cast<int>(uses.n_u())), n_dots(static_cast<int>(uses.n_dots())) {
    int place = 0;
    for (const RowUses::Dot dot : uses.u) (dot == RowUses::Dot::hh ? hh : hq) = place++;
    for (const RowUses::Dot dot : uses.w)
        (dot == RowUses::Dot::hh ? w_hh : dot == RowUses::Dot::hv ? w_hv : w_vv) = place++;
}

template <class T>
bool RowOnGpu<T>::carries(const Rule& rule) {
    const RowUses uses(rule);
    if (uses.unit) return true;
    const RowDotPlaces at(uses);
    const int asked =
        (at.hh >= 0) + (at.hq >= 0) + (at.w_hh >= 0) + (at.w_hv >= 0) + (at.w_vv >= 0);
    if (asked < at.n_dots || uses.n_numbers % uses.groups != 0) return false;  // one of them twice
    for (int l = 1; l <= rule.sublayers(); ++l) {
        const ScalarProgram& all = uses.a[static_cast<std::size_t>(l - 1)];
        if (all.n_saved() > 0) return false;
        if (at.n_dots > 0 ? all.n_steps() > RowDotPlaces::kMostSteps
                          : !is_of_groups(rule, uses, l, group_program(rule, uses, l)))
            return false;
    }
    return true;
}

template <class T>
RowOnGpu<T>::RowOnGpu(const Rule& rule, const RowUses& uses)
    : dots_(uses),
      n_numbers_(uses.n_numbers),
      groups_(uses.groups),
      channels_(rule.shape().channels),
      unit_(uses.unit) {
    if (of_token())
        programs_ = uses.a;
    else
        for (int l = 1; l <= rule.sublayers(); ++l)
            programs_.push_back(group_program(rule, uses, l));
}

template <class T>
void RowOnGpu<T>::declare(Plan& plan, Index tokens, const std::vector<SiteParams<Real>>& sites,
                          Tensor<Real> scalars, Tensor<Real> du) {
    sites_ = sites, scalars_ = scalars, du_ = du, tokens_ = tokens;
    if (unit_) return;
    const Index parts = gpu::partial_rows(tokens), l = sublayers();
    if (n_numbers_ > 0) {
        p_ = plan.saved<Real>("mixer.p", {{'L', l}, {'P', n_numbers_}});
        dp_ = plan.scratch<Real>("mixer.dp", {{'L', l}, {'P', n_numbers_}});
    }
    if (of_token()) {
        if (dots_.hq >= 0)
            dq_parts_ = plan.scratch<Real>("mixer.dq", {{'P', parts}, {'C', channels_}});
        if (n_numbers_ > 0)
            number_parts_ = plan.scratch<Real>("mixer.dp.parts", {{'P', parts}, {'D', n_numbers_}});
        return;
    }
    Index steps = 1;
    for (const ScalarProgram& p : programs_) steps = std::max<Index>(steps, p.n_steps());
    const Shape shape{{'A', steps}, {'G', (groups_ + 31) / 32 * 32}};
    steps_ = plan.scratch<Real>("mixer.steps", shape);
    a_ = plan.saved<Real>("mixer.a", {{'L', l}, {'A', 2}, {'G', groups_}});
    if (!learns()) return;
    dsteps_ = plan.scratch<Real>("mixer.dsteps", shape);
    da_ = plan.scratch<Real>("mixer.da", {{'L', l}, {'A', 2}, {'G', groups_}});
    number_parts_ = plan.scratch<Real>("mixer.da.parts", {{'P', parts}, {'D', 2 * groups_}});
}

template <class T>
void RowOnGpu<T>::make_tables() {
    tables_.clear();
    std::vector<Index> places;
    for (const ScalarProgram& program : programs_) tables_.push_back(program.tables(copies_));
    for (const SiteParams<Real>& site : sites_)
        for (const Index place : site.number_places()) places.push_back(place);
    places_ = copies_(places);
}

template <class T>
void RowOnGpu<T>::begin(const Context& ctx) {
    if (unit_) return;
    if (!copies_.made()) copies_.make(ctx.device, [&] { make_tables(); });
    on_gpu(ctx, [&](auto device) { begin(device, ctx); });
}

template <class T>
void RowOnGpu<T>::read(const Context& ctx, int l, View<const T> v, View<Real> h,
                       const PreNorm<T>& norm) const {
    on_gpu(ctx, [&](auto device) { read(device, ctx, l, v, h, norm); });
}

template <class T>
void RowOnGpu<T>::read_backward(const Context& ctx, int l, View<const T> v, View<Real> dh,
                                View<T> dv, const PreNorm<T>& norm) const {
    on_gpu(ctx, [&](auto device) { read_backward(device, ctx, l, v, dh, dv, norm); });
}

template <class T>
void RowOnGpu<T>::end_backward(const Context& ctx) const {
    if (n_numbers_ == 0) return;
    on_gpu(ctx, [&](auto device) { end_backward(device, ctx); });
}

template class RowOnGpu<float>;
template class RowOnGpu<double>;
template class RowOnGpu<Bf16>;

}  // namespace plumb
