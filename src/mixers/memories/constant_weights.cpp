#include "mixers/memories/constant_weights.h"

#include <algorithm>

namespace plumb {

template <class Real>
ConstantWeights<Real>::ConstantWeights(const Rule& rule, std::vector<From> reads)
    : reads_(std::move(reads)) {
    for (const From& read : reads_) {
        const int l = read.site, rows = rule.rows(l),
                  n_p = static_cast<int>(count(rule.params(l), RuleParam::Is::numbers));
        programs_.emplace_back(0, n_p, [&](const Traced* none, const Traced* p) {
            std::vector<Traced> all, out;
            all.resize(static_cast<std::size_t>(read.write ? rule.rows(l + 1) * (rows + 1) : rows));
            if (read.write)
                rule.write(l, none, none, p, all.data());
            else
                rule.read(l, none, p, all.data());
            for (const Index entry : read.entries)
                if (entry >= 0) out.push_back(all[static_cast<std::size_t>(entry)]);
            return out;
        });
    }
}

template <class Real>
void ConstantWeights<Real>::declare(Plan& plan, std::vector<std::vector<Param<Real>>> numbers) {
    params_ = std::move(numbers);
    if (plan.device() != Device::cpu) return;  // passes that are another class's
    const Shape shape{{'L', std::ssize(reads_)}, {'S', std::ssize(reads_)}};
    w_ = plan.saved<Real>("mixer.weights", shape);
    dw_ = plan.scratch<double>("mixer.dweights", shape);
    Room room;
    for (const auto& site : params_) {
        std::size_t n = 0;
        for (const Param<Real>& p : site) n += static_cast<std::size_t>(p.shape.count());
        room.p.resize(std::max(room.p.size(), n));
    }
    room.dp = room.p;
    room.out.resize(reads_.size());
    room_ = plan.state(std::move(room));
}

template <class Real>
template <class F>
void ConstantWeights<Real>::for_numbers(const Context& ctx, int site, F&& f) const {
    std::size_t k = 0;
    for (const Param<Real>& param : params_[static_cast<std::size_t>(site - 1)]) {
        const View<Real> value = ctx.value(param), grad = ctx.grad(param);
        for (Index i = 0; i < value.count(); ++i, ++k) f(value.data[i], grad.data[i], k);
    }
}

template <class Real>
std::vector<double> ConstantWeights<Real>::numbers(const Context& ctx, int site) const {
    std::vector<double> p;
    for (const Param<Real>& param : params_[static_cast<std::size_t>(site - 1)])
        for (const Real x : fetch<Real>(ctx.value(param))) p.push_back(x);
    return p;
}

template <class Real>
template <class F>
void ConstantWeights<Real>::for_weights(std::size_t l, F&& f) const {
    std::size_t k = 0;
    for (std::size_t i = 0; i < reads_[l].entries.size(); ++i)
        if (reads_[l].entries[i] >= 0) f(k++, static_cast<Index>(i));
}

template <class Real>
void ConstantWeights<Real>::begin(const Context& ctx) const {
    Room& room = ctx(room_);
    const View<Real> w = ctx(w_);
    const double* none = nullptr;
    std::fill_n(w.data, w.count(), Real(0));
    for (std::size_t l = 0; l < reads_.size(); ++l) {
        for_numbers(ctx, reads_[l].site, [&](Real x, Real, std::size_t k) { room.p[k] = x; });
        programs_[l].forward(none, room.p.data(), room.out.data());
        for_weights(l, [&](std::size_t k, Index i) {
            w.row(static_cast<Index>(l))[i] = static_cast<Real>(room.out[k]);
        });
    }
}

template <class Real>
void ConstantWeights<Real>::begin_backward(const Context& ctx) const {
    const View<double> dw = ctx(dw_);
    std::fill_n(dw.data, dw.count(), 0.0);
}

template <class Real>
void ConstantWeights<Real>::end_backward(const Context& ctx) const {
    Room& room = ctx(room_);
    const View<double> dw = ctx(dw_);
    double* none = nullptr;
    for (std::size_t l = 0; l < reads_.size(); ++l) {
        for_numbers(ctx, reads_[l].site,
                    [&](Real x, Real, std::size_t k) { room.p[k] = x, room.dp[k] = 0; });
        for_weights(
            l, [&](std::size_t k, Index i) { room.out[k] = dw.row(static_cast<Index>(l))[i]; });
        programs_[l].backward(none, room.p.data(), room.out.data(), none, room.dp.data());
        for_numbers(ctx, reads_[l].site, [&](Real, Real& grad, std::size_t k) {
            grad += static_cast<Real>(room.dp[k]);
        });
    }
}

template <class Real>
void ConstantWeights<Real>::open_read(const Context& ctx, const DepthSchedule& s, int l, Real* old,
                                      Real* terms) const {
    const DepthSchedule::Read& read = s.read(l);
    for (const int i : read.old) {
        for (int q = l; q <= read.last; ++q)
            old[q - l] = s.sees(q, i) ? weight(ctx, q, i) : Real(0);
        old += SourceRows<Real>::kStep;
    }
    if (read.waits) *terms++ = Real(1);
    for (const int i : read.fresh) *terms++ = weight(ctx, l, i);
}

template <class Real>
void ConstantWeights<Real>::open_pull(const Context& ctx, const DepthSchedule& s, int i,
                                      Index width, Real* p) const {
    for (const int source : s.pull(i).sources) {
        Real* to = p;
        for (const int l : s.pull(i).readers)
            *to++ = s.sees(l, source) ? weight(ctx, l, source) : Real(0);
        p += width;
    }
}

template <class Real>
void ConstantWeights<Real>::end_pull(const Context& ctx, const DepthSchedule& s, int i, Index width,
                                     const double* dp) const {
    for (const int source : s.pull(i).sources) {
        const double* from = dp;
        for (const int l : s.pull(i).readers) {
            if (s.sees(l, source)) gradient(ctx, l, source) += *from;
            ++from;
        }
        dp += width;
    }
}

template class ConstantWeights<float>;
template class ConstantWeights<double>;

}  // namespace plumb
