#include "mixers/memories/row_in_place.h"

#include "core/parallel.h"
#include "ops/pre_norm_cpu.h"

namespace plumb {

template <class T>
void RowInPlace<T>::declare_rows(Plan& plan, bool keeps_v, bool shares_dv) {
    const Shape shape = this->token_shape();
    if (keeps_v)
        for (int l = 1; l <= this->sublayers(); ++l)
            v_.push_back(plan.saved<T>(fmt::format("mixer.v.{}", l), shape));
    else
        v_.push_back(plan.scratch<T>("mixer.v", shape));
    h_ = plan.scratch<Real>("mixer.h", shape);
    dh_ = plan.scratch<Real>("mixer.dh", shape);
    d_ = plan.cpu_scratch<Real>("mixer.d", {{'P', chunks()}, {'C', channels()}});
    if constexpr (std::is_same_v<T, Real>)
        if (shares_dv) {
            dv_ = dh_;
            return;
        }
    dv_ = plan.scratch<T>("mixer.dv", shape);
}

template <class T>
auto RowInPlace<T>::rows(const Context& ctx, int l) const -> Rows {
    return {l, this->slot(ctx, l - 1), ctx(h_), ctx(dh_), ctx(d_), ctx(dv_)};
}

template <class T>
RowGradient<T> RowInPlace<T>::gradient(const Rows& rows, const PreNorm<T>& norm, Index n) const {
    Real *d = rows.d.row(n / kTokenChunk), *dh = rows.dh.row(n);
    norm_gradient(norm, n, d);
    if (rows.l > this->sublayers()) std::fill_n(dh, channels(), Real(0));
    return {.c = channels(),
            .y = norm.xhat.row(n),
            .v = rows.l > 1 ? rows.v.row(n) : nullptr,
            .h_per_y = norm.raw() ? Real(1) : Real(1) / norm.rstd.data[n],
            .x = d,
            .dh = dh,
            .dv = rows.dv.row(n)};
}

namespace {

// f(i, size) for every Vec of c numbers, so that sums that f adds to stay in registers.
template <class Real, class F>
[[gnu::always_inline]] inline void over(Index c, F&& f) {
    if (c % kVec<Real> == 0)
        for_vecs<Real, true>(c, f);
    else
        for_vecs<Real, false>(c, f);
}

}  // namespace

template <class T>
void row_write(RealOf<T>* h, const T* v, RealOf<T> a0, RealOf<T> a1, Index c) {
    using Real = RealOf<T>;
    over<Real>(c, [&](Index i, auto size) {
        store<Real>(a0 * load<Real>(h + i, size) + a1 * load<Real>(v + i, size), h + i, size);
    });
}

template <class T>
void row_write(RealOf<T>* h, const T* v, const RealOf<T>* a, Index c) {
    using Real = RealOf<T>;
    over<Real>(c, [&](Index i, auto size) {
        store<Real>(load<Real>(a + i, size) * load<Real>(h + i, size) +
                        load<Real>(a + c + i, size) * load<Real>(v + i, size),
                    h + i, size);
    });
}

template <class T>
RowQuery<RealOf<T>> row_write(RealOf<T>* h, const T* v, RealOf<T> a0, RealOf<T> a1,
                              const RealOf<T>* q, Index c) {
    using Real = RealOf<T>;
    Vec<Real> sums[2] = {};
    over<Real>(
        c, [&](Index i, auto size) __attribute__((always_inline)) {
            const Vec<Real> x = a0 * load<Real>(h + i, size) + a1 * load<Real>(v + i, size);
            sums[0] += x * x;
            sums[1] += x * load<Real>(q + i, size);
            store<Real>(x, h + i, size);
        });
    const Vec<Real> total = lane_sums<2, Real>(sums);
    return {total[0], total[1]};
}

namespace {

template <bool reads, bool dots, bool passes, class T, class Real>
RowDots<Real> total(const RowGradient<T>& row, Real du_hh, Real du_hq, Real a1, Real a0) {
    const RowGradient<T> r = row;
    const Real to_y = 2 * du_hh * r.h_per_y, from_y = du_hq * r.h_per_y;
    Vec<Real> sums[2] = {};
    over<Real>(
        r.c, [&](Index i, auto size) __attribute__((always_inline)) {
            Vec<Real> x = load<Real>(r.dh + i, size) + load<Real>(r.x + i, size), y{};
            if constexpr (reads || dots) y = load<Real>(r.y + i, size);
            if constexpr (reads) {
                x += du_hq * load<Real>(r.q + i, size) + to_y * y;
                store<Real>(load<Real>(r.dq + i, size) + from_y * y, r.dq + i, size);
            }
            if constexpr (dots) {
                sums[0] += y * x;
                sums[1] += load<Real>(r.v + i, size) * x;
            }
            if constexpr (passes) {
                store<Real>(a0 * x, r.dh + i, size);
                store<Real>(a1 * x, r.dv + i, size);
            } else {
                store<Real>(x, r.x + i, size);
            }
        });
    const Vec<Real> along = lane_sums<2, Real>(sums);
    return {along[0] * r.h_per_y, along[1]};
}

template <bool passes, class T, class... Real>
RowDots<RealOf<T>> total_of(const RowGradient<T>& r, Real... s) {
    if (r.q) return r.v ? total<true, true, passes>(r, s...) : total<true, false, passes>(r, s...);
    return r.v ? total<false, true, passes>(r, s...) : total<false, false, passes>(r, s...);
}

}  // namespace

template <class T>
RowDots<RealOf<T>> row_total(const RowGradient<T>& r, RealOf<T> du_hh, RealOf<T> du_hq) {
    return total_of<false>(r, du_hh, du_hq, RealOf<T>(0), RealOf<T>(0));
}

template <class T>
RowDots<RealOf<T>> row_backward(const RowGradient<T>& r, RealOf<T> du_hh, RealOf<T> du_hq,
                                RealOf<T> a1, RealOf<T> a0) {
    return total_of<true>(r, du_hh, du_hq, a1, a0);
}

template <class T>
void row_passed_on(const RowGradient<T>& r, const RowWeights<RealOf<T>>& weights) {
    using Real = RealOf<T>;
    const auto [v_x, v_y, v_v] = weights.dv;
    const auto [h_x, h_y, h_v] = weights.dh;
    over<Real>(r.c, [&, v_x = v_x, v_y = v_y, v_v = v_v, h_x = h_x, h_y = h_y, h_v = h_v](
                        Index i, auto size) {
        const Vec<Real> x = load<Real>(r.x + i, size), y = load<Real>(r.y + i, size),
                        v = load<Real>(r.v + i, size);
        store<Real>(h_x * x + h_y * y + h_v * v, r.dh + i, size);
        store<Real>(v_x * x + v_y * y + v_v * v, r.dv + i, size);
    });
}

template <class T>
void row_passed_on(const RowGradient<T>& r, const RealOf<T>* a, RealOf<T>* da) {
    using Real = RealOf<T>;
    const Index c = r.c;
    over<Real>(c, [&](Index i, auto size) {
        const Vec<Real> x = load<Real>(r.x + i, size), h = r.h_per_y * load<Real>(r.y + i, size);
        store<Real>(load<Real>(da + i, size) + h * x, da + i, size);
        store<Real>(load<Real>(da + c + i, size) + load<Real>(r.v + i, size) * x, da + c + i, size);
        store<Real>(load<Real>(a + i, size) * x, r.dh + i, size);
        store<Real>(load<Real>(a + c + i, size) * x, r.dv + i, size);
    });
}

#define PLUMB_INSTANTIATE(T, Real)                                                      \
    template class RowInPlace<T>;                                                       \
    template void row_write(Real*, const T*, Real, Real, Index);                        \
    template RowQuery<Real> row_write(Real*, const T*, Real, Real, const Real*, Index); \
    template void row_write(Real*, const T*, const Real*, Index);                       \
    template RowDots<Real> row_total(const RowGradient<T>&, Real, Real);                \
    template RowDots<Real> row_backward(const RowGradient<T>&, Real, Real, Real, Real); \
    template void row_passed_on(const RowGradient<T>&, const RowWeights<Real>&);        \
    template void row_passed_on(const RowGradient<T>&, const Real*, Real*);
PLUMB_INSTANTIATE(float, float)
PLUMB_INSTANTIATE(double, double)
PLUMB_INSTANTIATE(Bf16, float)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
