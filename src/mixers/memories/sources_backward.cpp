// read_backward(l): one pass over tokens forms D_l and, since write_backward(l-1) follows at once,
// pulls what source l-1 (and its group) gets from D_l and later.
#include "core/parallel.h"
#include "mixers/memories/source_weights.h"
#include "ops/pre_norm_cpu.h"
#include "ops/reduce.h"

namespace plumb {

// delta_l = <h_l, D_l> by head; `along` is that over all channels, from the norm.
template <class T>
void Sources<T>::keep_delta(const Memory& m, Index n, int l, const PreNorm<T>& norm, Real along,
                            const Real* d) const {
    const Index c = head_channels();
    for (Index h = 0; h < heads(); ++h) {
        Real& to = delta(m, n, h)[l - 1];
        if (!divides())
            to = Real(0);
        else if (heads() == 1)
            to = along;
        else
            to = row_dot(norm.xhat.row(n) + h * c, d + h * c, c) /
                 (norm.raw() ? Real(1) : norm.rstd.data[n]);
    }
}

// p and t = ds rstd of a head from t = <P_i, D_l>; along.
template <class T>
void Sources<T>::score_gradients(const Memory& m, Index n, int l, Index head, Real* t,
                                 const Bench& bench) const {
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index n_sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    const Real *z = lse(m, n, head) + (l - 1), *delta = this->delta(m, n, head) + (l - 1);
    const Real* rstd = this->rstd(m, n, head);
    const bool softmax = keys_->weights == SourceKeys::Weights::softmax;
    for (Index k = 0; k < n_sources; ++k) {
        const int i = pull.sources[at(k)];
        const Real* s = bench.s + k * width();
        const Real r = rstd[i];
        Real *pk = bench.p + k * width(), *tk = t + k * width();
        for (Index reader = 0; reader < readers; reader += kStep) {
            if (softmax) {
#pragma omp simd
                for (Index q = reader; q < reader + kStep; ++q) {
                    pk[q] = fast_exp(s[q] - z[q]);
                    tk[q] = pk[q] * (tk[q] - delta[q]) * r;
                }
            } else {
#pragma omp simd
                for (Index q = reader; q < reader + kStep; ++q) {
                    const Real sigmoid = fast_sigmoid(s[q]);
                    pk[q] = sigmoid * fast_exp(-z[q]);
                    tk[q] = pk[q] * (Real(1) - sigmoid) * (tk[q] - delta[q]) * r;
                }
            }
        }
        bench.along[k * heads() + head] =
            keys_->normed ? row_dot(tk, s, readers) * r / static_cast<Real>(norm_channels_)
                          : Real(0);
    }
}

// One head's part of what the pull's sources get, in bench.out; ds rstd stays in bench.t for du.
template <class T>
void Sources<T>::pull_keys(const Memory& m, Index n, Index tile_token, int l, Index head,
                           const Bench& bench) const {
    const Index c = head_channels(), first = head * c;
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index n_sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    Real* t = bench.t + (head * kTile + tile_token) * n_sources * width();
    const auto source = [&](Index k) { return this->source(m, pull.sources[at(k)], n) + first; };
    const auto d = [rows = m.d + (l - 1), first = n * channels() + first](Index q) {
        return rows[q].xhat + first;
    };
    row_dots<T, T>(n_sources, source, readers, d, c, t, width());
    for (const Piece& p : pieces_[at(l - 1)])
        if (p.offset < 0)
            std::fill_n(bench.s + p.to, kStep, kUnseen);
        else
            std::copy_n(m.logits + p.offset + n * p.token + head * p.head, kStep, bench.s + p.to);
    score_gradients(m, n, l, head, t, bench);
    mix_rows<T>(n_sources, readers, d, bench.p, width(), 1, c, bench.out + first, channels(),
                pull.adds);
    mix_rows<Real>(n_sources, readers, RowsAt<const Real>{u(m, l, head), channels()}, t, width(), 1,
                   c, bench.out + first, channels(), true);
}

template <class T>
void Sources<T>::pull_constants(const Memory& m, Index n, int l, const Bench& bench) const {
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index n_sources = std::ssize(pull.sources), readers = std::ssize(pull.readers);
    mix_rows_backward<T, T>(
        readers,
        [&, first = n * channels()](Index q) { return m.d[pull.readers[at(q)] - 1].xhat + first; },
        n_sources, [&](Index k) { return source(m, pull.sources[at(k)], n); }, bench.p, 1, width(),
        channels(), bench.out, channels(), pull.adds, bench.t, 1, width());
    for (Index k = 0; k < n_sources; ++k) {
        double* dw = bench.dw + k * width();
        const Real* t = bench.t + k * width();
#pragma omp simd
        for (Index q = 0; q < readers; ++q) dw[q] += static_cast<double>(t[q]);
    }
}

// Gradients of the sources that this pass pulls for.
template <class T>
void Sources<T>::pull(const Memory& m, Index n, Index tile_token, int l, const Bench& bench) const {
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    if (pull.adds && kRounds && !schedule().completes_block(l - 1))
        copy_row(m.carry + n * channels(), bench.out, channels());
    else if (pull.adds)
        copy_row(source(m, sources_.place(l - 1), n), bench.out, channels());
    if (!keys_) pull_constants(m, n, l, bench);
    for (Index h = 0; keys_ && h < heads(); ++h) pull_keys(m, n, tile_token, l, h, bench);
    for (Index k = 0; k < std::ssize(pull.sources); ++k)
        store_gradient(m, n, pull.sources[at(k)], k == 0, bench.along + k * heads(),
                       bench.out + k * channels());
}

// dP_i = out - along P_i, for the caller and for the sources before it in the block.
template <class T>
void Sources<T>::store_gradient(const Memory& m, Index n, int i, bool newest, const Real* along,
                                Real* out) const {
    const Index c = channels();
    const T* x = source(m, i, n);
    T* dp = source(m, sources_.place(i), n);
    for (Index g = 0; keys_ && g < norms(); ++g) {
        Real sum = *along++;
        if (norms() < heads())
            for (Index h = 1; h < heads(); ++h) sum += *along++;
        const Index begin = g * norm_channels_;
#pragma omp simd
        for (Index j = begin; j < begin + norm_channels_; ++j)
            out[j] -= sum * static_cast<Real>(x[j]);
    }
    if (newest)
        copy_row(out, dp, c);  // F_i's backward reads it next
    else
        stream_row(out, dp, c);
    if (kRounds && newest && m.carry) std::copy_n(out, c, m.carry + n * c);
}

// Asks for what read_backward(l) touches of token n, but for rows that store_gradient streams.
template <class T>
[[gnu::always_inline]] inline void Sources<T>::fetch_pull(const Memory& m, Index n, int l,
                                                          const PreNorm<T>& norm) const {
    const Index c = channels();
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    prefetch_write(norm.xhat.row(n), c);
    prefetch_read(norm.dx.row(n), c);
    for (const int i : pull.sources) prefetch_read(source(m, i, n), c);
    prefetch_write(source(m, sources_.place(l - 1), n), c);
    for (const int reader : pull.readers)
        if (reader > l) prefetch_read(m.d[reader - 1].xhat + n * c, c);
    if (!keys_) return;
    const Index readers = std::ssize(pull.readers);
    for (Index h = 0; h < heads(); ++h) {
        for (const Piece& p : pieces_[at(l - 1)])
            if (p.offset >= 0) __builtin_prefetch(m.logits + p.offset + n * p.token + h * p.head);
        prefetch_read(lse(m, n, h) + (l - 1), readers);
        prefetch_read(delta(m, n, h) + (l - 1), readers);
    }
    __builtin_prefetch(rstd(m, n, 0) + pull.sources.back());
}

// du of the tile's tokens, from their ds rstd in bench.t.
template <class T>
void Sources<T>::add_tile(const Memory& m, Index tile, Index count, int l,
                          const Bench& bench) const {
    const Index c = head_channels();
    const DepthSchedule::Pull& pull = schedule().pull(l - 1);
    const Index n_sources = std::ssize(pull.sources);
    const T* source[kTile * kMaxGroup];
    for (Index k = 0, n = tile; n < tile + count; ++n)
        for (const int i : pull.sources) source[k++] = this->source(m, i, n);
    for (Index h = 0; h < heads(); ++h)
        mix_rows<T>(
            std::ssize(pull.readers), count * n_sources, [&](Index k) { return source[k] + h * c; },
            bench.t + h * kTile * n_sources * width(), 1, width(), c,
            bench.du + (l - 1) * channels() + h * c, channels(), true);
}

template <class T>
void Sources<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = channels();
    const Memory m = memory(ctx);
    if (!keys_ && l == rows()) constants_.begin_backward(ctx);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(m, chunk);
        if (keys_ && l == rows()) std::fill_n(b.du, rows() * c, Real(0));
        if (!keys_) constants_.open_pull(ctx, schedule(), l - 1, width(), b.p);
        if (!keys_) std::fill_n(b.dw, kMaxGroup * width(), 0.0);
        for (Index tile = begin; tile < end; tile += kTile) {
            const Index count = std::min(kTile, end - tile);
            for (Index n = tile; n < tile + count; ++n) {
                if (n + 1 < end) fetch_pull(m, n + 1, l, norm);
                const Real along = norm_gradient(norm, n, b.d);
                if (keys_) keep_delta(m, n, l, norm, along, b.d);
                copy_row(b.d, norm.xhat.row(n), c);
                pull(m, n, n - tile, l, b);
            }
            if (keys_) add_tile(m, tile, count, l, b);
        }
        end_stream();
    });
    for (Index chunk = 0; !keys_ && chunk < n_chunks(this->shape().tokens); ++chunk)
        constants_.end_pull(ctx, schedule(), l - 1, width(), bench(m, chunk).dw);
}

// dquery += gain du, dgain += query du.
template <class T>
void Sources<T>::queries_backward(const Context& ctx) const {
    const Index c = channels();
    const View<Real> dus = ctx(du_), partial = ctx(du_partial_);
    std::fill_n(dus.data, dus.count(), Real(0));
    add_partials<Real>(ctx, partial, dus);
    for (int l = 2; l <= rows(); ++l) {
        const std::vector<Param<Real>>& params = params_[at(l - 1)];
        const Real *du = dus.row(l - 1), *w = ctx.value(params[0]).data;
        Real* dw = ctx.grad(params[0]).data;
        if (!keys_->gain) {
            axpy(Real(1), du, dw, c);
            continue;
        }
        const Real* g = ctx.value(params[1]).data;
        Real* dg = ctx.grad(params[1]).data;
        for (Index j = 0; j < c; ++j) {
            dw[j] += du[j] * g[j];
            dg[j] += du[j] * w[j];
        }
    }
}

template <class T>
View<const T> Sources<T>::do_begin_backward(const Context& ctx) {
    if (keys_)
        queries_backward(ctx);
    else
        constants_.end_backward(ctx);
    return ctx(sources_.tensor(sources_.place(0)));
}

#define PLUMB_INSTANTIATE(T)                                                            \
    template void Sources<T>::do_read_backward(const Context&, int, const PreNorm<T>&); \
    template View<const T> Sources<T>::do_begin_backward(const Context&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
