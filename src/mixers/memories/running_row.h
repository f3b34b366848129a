// RunningRow: the memory of mixers that keep one row a token and change it in place,
//
//     h_{l+1} = a_0 h_l + a_1 v_l,    h_1 = v_0,    a = A(u, w, p)               (mixers/rule.h)
//
// and read it as it is. The rule, a template argument, says what a depends on:
//
//     nothing                            standard; no v_l is kept
//     numbers p of the site              rezero, layerscale (G = C: a row of each), highway static
//     dots of the token: u of <h,h> and  highway, deepnorm
//     <h,q>, q a vector of parameters;
//     w of <h,h>, <h,v>, <v,v>
//
// A site is one pass over its tokens. Forward at l writes v_{l-1}, reads h_l, norms it and takes u
// of l. Backward at l finishes x = dLoss/dh_l and takes the write below back, h_l = a_0 h + a_1 v:
//
//     x    = (passed on from l+1) + D_l + 2 du_hh h_l + du_hq q               dq += du_hq h_l
//     dA_1 = <v, x>,  dA_0 = <h, x> = (<h_l, x> - a_1 <v, x>) / a_0           -> du, dw, dp by A'
//     dv   = a_1 x + dw_hv h + 2 dw_vv v
//     dh   = a_0 x + 2 dw_hh h + dw_hv v, passed on to l-1, where h = (h_l - a_1 v) / a_0
//
// Only rows that are at hand: h_l as its norm keeps it, v in T. Where a_0 = 0 the share of h in the
// gradient counts as 0 (a gate that has rounded to 1); a rule whose a_0 may start at 0 is for the
// plain memory. A' comes from duals (dual.h) where a is the token's, once a site from its program
// (scalar_program.h) where it is the site's: sums over tokens of dA go in.
//
// Kept of a token and site besides v: its scalars u, w, a.
//
// On a GPU a site is one kernel a direction too (row_on_gpu.h), with the same rows.
//
// Numbers moved per token and sublayer, without the norm's: forward 3 C; backward 4 C (v, dv, dh
// twice), 2 C where a is constant.
#pragma once

#include "core/parallel.h"
#include "mixers/derive_matrix.h"
#include "mixers/dual.h"
#include "mixers/memories/row_in_place.h"
#include "mixers/memories/row_on_gpu.h"
#include "mixers/site_params.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

namespace plumb {

template <class T, class R>
class RunningRow final : public RowInPlace<T> {
public:
    using Real = RealOf<T>;

    explicit RunningRow(R rule)
        : RowInPlace<T>(rule.shape()), rule_(std::move(rule)), uses_(rule_), gpu_(rule_, uses_) {}

    Index matrix_channels() const override { return uses_.groups; }
    static bool runs_on_gpu(const Rule& rule) { return RowOnGpu<T>::carries(rule); }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    void do_begin(const Context& ctx) override {
        if (ctx.device == Device::cuda) gpu_.begin(ctx);
    }
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override;
    View<const T> do_begin_backward(const Context& ctx) override {
        if (ctx.device == Device::cuda) gpu_.end_backward(ctx);
        return ctx(this->dv_);
    }
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override;
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall call, int l) const override;

private:
    using Base = RowInPlace<T>;
    using Base::at, Base::channels, Base::chunks, Base::tokens;
    using Rows = typename Base::Rows;

    bool of_token() const { return uses_.n_dots() > 0; }
    bool learns() const { return uses_.n_inputs() > 0; }
    struct Pass : Rows {
        int site;           // whose numbers p are: l-1 (at least 1), or l
        const Real *p, *a;  // numbers; a (2, G) of the site below where it is the site's
        const Real* q;      // of site l; null: none
        Real *scalars, *below_scalars;  // of sites l and l-1
        View<Real> du, dq, dp;          // (N, n_u), (n_chunks, C), (n_chunks, 2 G or numbers)
    };
    Pass pass(const Context& ctx, int l, bool ahead = false) const;
    // What is kept of a token and site: u, w, a.
    Index n_scalars() const { return uses_.n_dots() + 2; }
    Real* scalars(const Context& ctx, int l) const {
        return ctx(scalars_).data + (l - 1) * tokens() * n_scalars();
    }

    void write_token(const Pass& m, Index n) const;
    void put_query(const Pass& m, Index n, RowQuery<Real> query) const;
    // scalars: a of u, w.
    void weigh(const Pass& m, Real* scalars) const {
        Real* a = scalars + uses_.n_dots();
        a[0] = a[1] = 0;
        rule_.A(m.site, scalars, scalars + uses_.n_u(), m.p, a);
    }
    void token_backward(const Pass& m, const PreNorm<T>& norm, Index n) const;
    RowWeights<Real> scalars_backward(const Pass& m, Index n, const RowGradient<T>& r,
                                      RowDots<Real> along) const;
    void numbers_backward(const Context& ctx, const Pass& m) const;

    R rule_;
    RowUses uses_;
    RowOnGpu<T> gpu_;
    std::vector<SiteParams<Real>> sites_;  // l = 1..L
    Tensor<Real> scalars_;                 // (L, N, n_scalars) where a is the token's
    Tensor<Real> du_;                      // (N, n_u)
    Tensor<Real> p_, a_;                   // (numbers), (2, 2, G) of the site at work
    Tensor<Real> dq_, dp_;                 // (n_chunks, C), (n_chunks, 2 G or numbers)
};

template <class T, class R>
void RunningRow<T, R>::do_declare(Plan& plan, ParamStore<Real>& params) {
    const Index n = tokens(), c = channels(), n_dp = std::max(2 * uses_.groups, uses_.n_numbers);
    this->declare_rows(plan, learns(), uses_.unit);
    for (int l = 1; l <= this->sublayers(); ++l) {
        sites_.emplace_back(rule_, l);
        sites_.back().declare(params, l, this->layout());
    }
    if (of_token()) {
        scalars_ = plan.saved<Real>("mixer.scalars",
                                    {{'L', this->sublayers()}, {'N', n}, {'S', n_scalars()}});
        du_ = plan.scratch<Real>("mixer.du", {{'N', n}, {'U', std::max<Index>(uses_.n_u(), 1)}});
    }
    if (plan.device() == Device::cuda) return gpu_.declare(plan, n, sites_, scalars_, du_);
    p_ = plan.scratch<Real>("mixer.p", {{'P', std::max<Index>(uses_.n_numbers, 1)}});
    a_ = plan.scratch<Real>("mixer.a", {{'A', 4}, {'G', uses_.groups}});
    dp_ = plan.scratch<Real>("mixer.dp", {{'P', chunks()}, {'D', n_dp}});
    if (of_token()) dq_ = plan.scratch<Real>("mixer.dq", {{'P', chunks()}, {'C', c}});
}

template <class T, class R>
auto RunningRow<T, R>::pass(const Context& ctx, int l, bool ahead) const -> Pass {
    const int below = std::max(l - 1, 1), own = std::min(l, this->sublayers()),
              site = ahead ? own : below;
    Real *p = ctx(p_).data, *a = ctx(a_).data, *raw = a + 2 * uses_.groups;
    sites_[at(site)].numbers(ctx, p);
    if (!of_token()) {
        std::fill_n(raw, 2 * uses_.groups, Real(0));
        const Real* none = nullptr;
        rule_.A(site, none, none, p, raw);
        for (Index g = 0; g < uses_.groups; ++g)
            for (int i = 0; i < 2; ++i) a[i * uses_.groups + g] = raw[2 * g + i];
    }
    const bool reads = uses_.n_u() > 0 && l <= this->sublayers();
    const Real* q = reads ? sites_[at(own)].vector(ctx, 0, channels()) : nullptr;
    return {{this->rows(ctx, l)}, site,     p,        a,       q, scalars(ctx, own),
            scalars(ctx, below),  ctx(du_), ctx(dq_), ctx(dp_)};
}

// ---- forward ------------------------------------------------------------------------------------

template <class T, class R>
void RunningRow<T, R>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    if (ctx.device == Device::cuda)
        return gpu_.read(ctx, l, this->slot(ctx, l - 1), ctx(this->h_), norm);
    // Without w, a of l follows as soon as u is known: nothing waits for it at l+1.
    const bool ahead = of_token() && uses_.w.empty();
    const Pass m = pass(ctx, l, ahead);
    for_tokens(ctx, tokens(), [&](Index n) {
        write_token(m, n);
        norm_put(norm, n, m.h.row(n));
        if (m.q && ahead) weigh(m, m.scalars + n * n_scalars());
    });
}

// h_{l-1} -> h_l, and u of l.
template <class T, class R>
void RunningRow<T, R>::write_token(const Pass& m, Index n) const {
    const Index c = channels();
    Real* h = m.h.row(n);
    const T* v = m.v.row(n);
    const Real* a = m.a;
    if (m.l == 1) {
        copy_row(v, h, c);
        if (m.q) put_query(m, n, {row_dot(h, h, c), row_dot(h, m.q, c)});
        return;
    }
    if (uses_.groups > 1) return row_write(h, v, a, c);
    if (of_token()) {
        Real *below = m.below_scalars + n * n_scalars(), *next = below + uses_.n_u();
        a = below + uses_.n_dots();
        for (const RowUses::Dot dot : uses_.w)
            *next++ = dot == RowUses::Dot::hh   ? row_dot(h, h, c)
                      : dot == RowUses::Dot::hv ? row_dot(h, v, c)
                                                : row_dot(v, v, c);
        if (!uses_.w.empty()) weigh(m, below);
    }
    if (m.q)
        put_query(m, n, row_write(h, v, a[0], a[1], m.q, c));
    else
        row_write(h, v, a[0], a[1], c);
}

template <class T, class R>
void RunningRow<T, R>::put_query(const Pass& m, Index n, RowQuery<Real> query) const {
    Real* u = m.scalars + n * n_scalars();
    for (const RowUses::Dot dot : uses_.u) *u++ = dot == RowUses::Dot::hh ? query.hh : query.hq;
}

// ---- backward -----------------------------------------------------------------------------------

template <class T, class R>
void RunningRow<T, R>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    if (ctx.device == Device::cuda)
        return gpu_.read_backward(ctx, l, learns() ? this->slot(ctx, l - 1) : View<T>{},
                                  ctx(this->dh_), ctx(this->dv_), norm);
    const Pass m = pass(ctx, l);
    const Index c = channels();
    for_chunks(ctx, tokens(), [&](Index begin, Index end, Index k) {
        std::fill_n(m.dp.row(k), m.dp.extent(1), Real(0));
        if (m.q) std::fill_n(m.dq.row(k), c, Real(0));
        for (Index n = begin; n < end; ++n) token_backward(m, norm, n);
    });
    if (m.q) {
        Real* dq = sites_[at(l)].vector(ctx, 0, c, true);
        add_partials<Real>(ctx, m.dq, View<Real>{dq, {{'C', c}}});
    }
    if (l > 1 && learns()) numbers_backward(ctx, m);
}

template <class T, class R>
void RunningRow<T, R>::token_backward(const Pass& m, const PreNorm<T>& norm, Index n) const {
    const Index chunk = n / kTokenChunk;
    RowGradient<T> r = this->gradient(m, norm, n);
    if (!learns()) r.v = nullptr;
    Real du_hh = 0, du_hq = 0;
    if (m.q) {
        r.q = m.q, r.dq = m.dq.row(chunk);
        for (Index i = 0; i < uses_.n_u(); ++i)
            (uses_.u[static_cast<std::size_t>(i)] == RowUses::Dot::hh ? du_hh : du_hq) +=
                m.du.row(n)[i];
    }
    Real* dp = m.dp.row(chunk);
    if (m.l == 1) {  // h_1 = v_0
        row_backward(r, du_hh, du_hq, Real(1), Real(1));
    } else if (uses_.groups > 1) {
        row_total(r, du_hh, du_hq);
        row_passed_on(r, m.a, dp);
    } else if (!of_token()) {
        const RowDots<Real> along = row_backward(r, du_hh, du_hq, m.a[1], m.a[0]);
        dp[0] += along.h, dp[1] += along.v;
    } else {
        const Real* a = m.below_scalars + n * n_scalars() + uses_.n_dots();
        if (uses_.w.empty()) {
            scalars_backward(m, n, r, row_backward(r, du_hh, du_hq, a[1], a[0]));
        } else {
            const RowDots<Real> along = row_total(r, du_hh, du_hq);
            row_passed_on(r, scalars_backward(m, n, r, along));
        }
    }
}

// From the dots with x to du, dp and, by dw, what dv and dh get.
template <class T, class R>
auto RunningRow<T, R>::scalars_backward(const Pass& m, Index n, const RowGradient<T>& r,
                                        RowDots<Real> along) const -> RowWeights<Real> {
    const Index n_u = uses_.n_u(), n_dots = uses_.n_dots(), n_in = uses_.n_inputs();
    const Real *scalars = m.below_scalars + n * n_scalars(), *a = scalars + n_dots;
    const Real inverse = a[0] == 0 ? Real(0) : 1 / a[0];
    const Real along_h = (along.h - a[1] * along.v) * inverse;  // <h, x>
    Dual<Real> in[RowUses::kInputs];
    Real d[RowUses::kInputs];
    for (Index i = 0; i < n_in; ++i) in[i] = i < n_dots ? scalars[i] : m.p[i - n_dots];
    const auto loss = [&] {
        Dual<Real> out[2] = {Real(0), Real(0)};
        rule_.A(m.site, in, in + n_u, in + n_dots, out);
        return along_h * out[0].d + along.v * out[1].d;
    };
    gradient_by_duals<Real>(n_in, in, loss, d);
    std::copy_n(d, n_u, m.du.row(n));
    Real* dp = m.dp.row(n / kTokenChunk);
    for (Index i = n_dots; i < n_in; ++i) dp[i - n_dots] += d[i];
    Real hh = 0, hv = 0, vv = 0;
    for (Index i = n_u; i < n_dots; ++i) {
        const RowUses::Dot dot = uses_.w[static_cast<std::size_t>(i - n_u)];
        (dot == RowUses::Dot::hh ? hh : dot == RowUses::Dot::hv ? hv : vv) += d[i];
    }
    const Real h_y = r.h_per_y * inverse, h_v = -a[1] * inverse;  // h = h_y y + h_v v
    return {{a[1], hv * h_y, 2 * vv + hv * h_v}, {a[0], 2 * hh * h_y, hv + 2 * hh * h_v}};
}

// What tokens have left in dp, into the gradients of the numbers.
template <class T, class R>
void RunningRow<T, R>::numbers_backward(const Context& ctx, const Pass& m) const {
    const auto left = [&](Index i) {
        Real sum = 0;
        for (Index k = 0; k < chunks(); ++k) sum += m.dp.row(k)[i];
        return sum;
    };
    const auto add = [&](auto&& d) {
        Index i = 0;
        sites_[at(m.site)].for_numbers(ctx,
                                       [&](Real, Real& to) { to += static_cast<Real>(d(i++)); });
    };
    if (of_token()) return add(left);
    static thread_local std::vector<double> p, da, dp;  // kept: a step allocates nothing
    const Index groups = uses_.groups;
    p.assign(m.p, m.p + uses_.n_numbers), dp.assign(p.size(), 0.0), da.clear();
    for (Index g = 0; g < groups; ++g) {
        const Real v = left(groups + g), a0 = m.a[g];
        const Real h = a0 == 0 ? Real(0) : (left(g) - m.a[groups + g] * v) / a0;
        da.push_back(h), da.push_back(v);
    }
    double* none = nullptr;
    uses_.a[at(m.site)].backward(none, p.data(), da.data(), none, dp.data());
    add([&](Index i) { return dp[static_cast<std::size_t>(i)]; });
}

// ---- what moves, M ------------------------------------------------------------------------------

// Forward: v, h. Backward: v where a learns, dv where it is not dh; dh.
template <class T, class R>
MovedNumbers RunningRow<T, R>::moves(DepthCall call, int l) const {
    const Index c = channels();
    if (call == DepthCall::read) return {c, (l == 1 ? 1 : 2) * c};
    if (call != DepthCall::read_backward) return {};
    return {((learns() && l > 1) + (this->dv_.offset != this->dh_.offset)) * c,
            (l > this->sublayers() ? 1 : 2) * c};
}

template <class T, class R>
auto RunningRow<T, R>::do_matrices(const Context& ctx) const -> typename DepthMixer<T>::OfToken {
    std::vector<Real> kept;
    std::vector<std::vector<double>> numbers(sites_.size());
    if (of_token()) kept = fetch<Real>(ctx(scalars_));
    for (std::size_t k = 0; learns() && k < sites_.size(); ++k)  // else there may be no frame
        numbers[k] = sites_[k].fetched_numbers(ctx);
    return
        [this, kept = std::move(kept), numbers = std::move(numbers)](Index n, View<Real> m, int) {
            derive_matrix<Real>(
                rule_,
                [&](int l, std::vector<double>& c, std::vector<double>& a) {
                    c.assign(static_cast<std::size_t>(uses_.groups), 1.0);
                    if (l > this->sublayers()) return;
                    if (of_token()) {
                        const Real* of =
                            kept.data() + ((l - 1) * tokens() + n) * n_scalars() + uses_.n_dots();
                        return a.assign(of, of + 2);
                    }
                    a.assign(2 * c.size(), 0.0);
                    rule_.write(l, nullptr, nullptr, numbers[at(l)].data(), a.data());
                },
                m);
        };
}

}  // namespace plumb
