#include "mixers/memories/constant_weights.h"

#include <algorithm>

namespace plumb {

template <class Real>
void ConstantWeights<Real>::declare(Plan& plan, std::vector<std::vector<Param<Real>>> numbers) {
    params_ = std::move(numbers);
    const Shape shape{{'L', std::ssize(reads_)}, {'S', std::ssize(reads_)}};
    w_ = plan.saved<Real>("mixer.weights", shape);
    dw_ = plan.scratch<double>("mixer.dweights", shape);
    std::size_t most = 0, entries = 0;
    for (const From& read : reads_) {
        Index n = 0;
        for (const Param<Real>& p : params_[static_cast<std::size_t>(read.site - 1)])
            n += p.shape.count();
        most = std::max(most, static_cast<std::size_t>(n));
        entries = std::max(entries, n_entries(read));
    }
    Rooms rooms;
    rooms.numbers.p.resize(most), rooms.numbers.out.resize(entries);
    rooms.tape.p.resize(most), rooms.tape.out.resize(entries);
    rooms_ = plan.state(std::move(rooms));
}

template <class Real>
std::size_t ConstantWeights<Real>::n_entries(const From& read) const {
    const int rows = rule_.rows(read.site);
    return static_cast<std::size_t>(read.write ? rule_.rows(read.site + 1) * (rows + 1) : rows);
}

template <class Real>
template <class N>
void ConstantWeights<Real>::run(const From& read, Room<N>& room) const {
    std::fill(room.out.begin(), room.out.end(), N(0));
    if (read.write)
        rule_.write(read.site, nullptr, nullptr, room.p.data(), room.out.data());
    else
        rule_.read(read.site, nullptr, room.p.data(), room.out.data());
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
void ConstantWeights<Real>::numbers(const Context& ctx, int site, std::vector<double>& p) const {
    p.clear();
    for_numbers(ctx, site, [&](Real x, Real, std::size_t) { p.push_back(x); });
}

template <class Real>
void ConstantWeights<Real>::begin(const Context& ctx) const {
    Room<double>& room = ctx(rooms_).numbers;
    const View<Real> w = ctx(w_);
    std::fill_n(w.data, w.count(), Real(0));
    for (std::size_t l = 0; l < reads_.size(); ++l) {
        const From& read = reads_[l];
        for_numbers(ctx, read.site, [&](Real x, Real, std::size_t k) { room.p[k] = x; });
        run(read, room);
        for (std::size_t i = 0; i < read.entries.size(); ++i)
            if (read.entries[i] >= 0)
                w.row(static_cast<Index>(l))[i] =
                    static_cast<Real>(room.out[static_cast<std::size_t>(read.entries[i])]);
    }
}

template <class Real>
void ConstantWeights<Real>::begin_backward(const Context& ctx) const {
    const View<double> dw = ctx(dw_);
    std::fill_n(dw.data, dw.count(), 0.0);
}

template <class Real>
void ConstantWeights<Real>::end_backward(const Context& ctx) const {
    Room<Var>& room = ctx(rooms_).tape;
    const View<double> dw = ctx(dw_);
    for (std::size_t l = 0; l < reads_.size(); ++l) {
        const From& read = reads_[l];
        Tape tape;
        for_numbers(ctx, read.site,
                    [&](Real x, Real, std::size_t k) { room.p[k] = tape.input(x); });
        run(read, room);
        for (std::size_t i = 0; i < read.entries.size(); ++i)
            if (read.entries[i] >= 0)
                tape.seed(room.out[static_cast<std::size_t>(read.entries[i])],
                          dw.row(static_cast<Index>(l))[i]);
        tape.pull();
        for_numbers(ctx, read.site, [&](Real, Real& grad, std::size_t k) {
            grad += static_cast<Real>(tape.gradient(room.p[k]));
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
