// read_backward(l): one pass over tokens forms D_l and, since write_backward(l-1) follows at once,
// pulls what source l-1 (and its group) gets from D_l and later.
#include "core/parallel.h"
#include "mixers/attn_res.h"
#include "ops/depth_mix.h"
#include "ops/exp.h"

namespace plumb {

// Gradients of the sources that this pass pulls for. Leaves ds rstd in bench.t for du.
template <class T>
void AttnRes<T>::pull(const Memory& m, Index n, Index tile_token, int l, const Bench& bench) const {
    const Index c = this->shape().channels;
    const DepthSchedule::Pull& pull = schedule_.pull(l - 1);
    const Index n_sources = std::ssize(pull.sources), readers = pull.last - l + 1;
    Real* t = bench.t + tile_token * n_sources * width();
    const auto source = [&](Index k) {
        return this->source(m, pull.sources[static_cast<std::size_t>(k)], n);
    };
    const auto d = [rows = m.d + (l - 1), first = n * c](Index q) { return rows[q].xhat + first; };
    const auto u = [rows = this->u(m, l), c](Index q) { return rows + q * c; };
    row_dots<T, T>(n_sources, source, readers, d, c, t, width());
    const Real *lse = this->lse(m, n) + (l - 1), *delta = this->delta(m, n) + (l - 1);
    const Real* rstd = this->rstd(m, n);
    for (int first = l; first <= pull.last; first = schedule_.read(first).last + 1)
        for (Index k = 0; k < n_sources; ++k)
            std::copy_n(logit(m, n, pull.sources[static_cast<std::size_t>(k)], first), kStep,
                        bench.s + k * width() + (first - l));
    Real along[DepthSchedule::kMaxGroup];
    for (Index k = 0; k < n_sources; ++k) {
        const int i = pull.sources[static_cast<std::size_t>(k)];
        const Real* s = bench.s + k * width();
        const Real r = rstd[i];
        Real *pk = bench.p + k * width(), *tk = t + k * width();
        for (Index reader = 0; reader < readers; reader += kStep)
#pragma omp simd
            for (Index q = reader; q < reader + kStep; ++q) {
                pk[q] = fast_exp(s[q] - lse[q]);
                tk[q] = pk[q] * (tk[q] - delta[q]) * r;
            }
        along[k] = row_dot(tk, s, readers) * r / static_cast<Real>(c);
    }
    if (pull.adds && kRounds && !schedule_.completes_block(l - 1))
        copy_row(m.carry + n * c, bench.out, c);
    else if (pull.adds)
        copy_row(this->source(m, place(l - 1), n), bench.out, c);
    mix_rows<T>(n_sources, readers, d, bench.p, width(), 1, c, bench.out, c, pull.adds);
    mix_rows<Real>(n_sources, readers, u, t, width(), 1, c, bench.out, c, true);
    for (Index k = 0; k < n_sources; ++k)
        store_gradient(m, n, pull.sources[static_cast<std::size_t>(k)], k == 0, along[k],
                       bench.out + k * c);
}

// dP_i = out - along P_i, for the caller and for the sources before it in the block.
template <class T>
void AttnRes<T>::store_gradient(const Memory& m, Index n, int i, bool newest, Real along,
                                Real* out) const {
    const Index c = this->shape().channels;
    const T* x = source(m, i, n);
    T* dp = source(m, place(i), n);
#pragma omp simd
    for (Index j = 0; j < c; ++j) out[j] -= along * static_cast<Real>(x[j]);
    if (newest)
        copy_row(out, dp, c);  // F_i's backward reads it next
    else
        stream_row(out, dp, c);
    if (kRounds && newest && m.carry) std::copy_n(out, c, m.carry + n * c);
}

// Asks for what read_backward(l) touches of token n, but for rows that store_gradient streams.
template <class T>
[[gnu::always_inline]] inline void AttnRes<T>::fetch_pull(const Memory& m, Index n, int l,
                                                          const PreNorm<T>& norm) const {
    const Index c = this->shape().channels;
    const DepthSchedule::Pull& pull = schedule_.pull(l - 1);
    prefetch_write(norm.xhat.row(n), c);
    prefetch_read(norm.dx.row(n), c);
    for (const int i : pull.sources) prefetch_read(source(m, i, n), c);
    for (int reader = l + 1; reader <= pull.last; ++reader)
        prefetch_read(m.d[reader - 1].xhat + n * c, c);
    prefetch_write(source(m, place(l - 1), n), c);
    for (int first = l; first <= pull.last; first = schedule_.read(first).last + 1)
        for (const int i : pull.sources) __builtin_prefetch(logit(m, n, i, first));
    prefetch_read(lse(m, n) + (l - 1), pull.last - l + 1);
    prefetch_read(delta(m, n) + (l - 1), pull.last - l + 1);
    __builtin_prefetch(rstd(m, n) + pull.sources.back());
}

template <class T>
void AttnRes<T>::do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels;
    const DepthSchedule::Pull& plan = schedule_.pull(l - 1);
    const Index n_sources = std::ssize(plan.sources), readers = plan.last - l + 1;
    const Memory m = memory(ctx);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(m, chunk);
        if (l == this->sublayers() + 1) std::fill_n(b.du, rows() * c, Real(0));
        for (Index tile = begin; tile < end; tile += kTile) {
            const Index count = std::min(kTile, end - tile);
            for (Index n = tile; n < tile + count; ++n) {
                if (n + 1 < end) fetch_pull(m, n + 1, l, norm);
                delta(m, n)[l - 1] = norm.gradient(n, b.d);
                copy_row(b.d, norm.xhat.row(n), c);
                pull(m, n, n - tile, l, b);
            }
            const T* source[kTile * DepthSchedule::kMaxGroup];
            for (Index k = 0, n = tile; n < tile + count; ++n)
                for (const int i : plan.sources) source[k++] = this->source(m, i, n);
            mix_rows<T>(
                readers, count * n_sources, [&](Index k) { return source[k]; }, b.t, 1, width(), c,
                b.du + (l - 1) * c, c, true);
        }
        end_stream();
    });
    const bool carries = kRounds && m.carry;
    this->template moved<T>(ctx, (schedule_.pull_rows(l - 1) - (carries && plan.adds)) * c);
    this->template moved<Real>(ctx, (carries + (carries && plan.adds)) * c +
                                        (n_sources + 2) * readers + n_sources + 1 +
                                        2 * readers * c / kTokenChunk);
}

template <class T>
View<const T> AttnRes<T>::do_begin_backward(const Context& ctx) {
    queries_backward(ctx);
    return ctx(source_[at(place(0))]);
}

#define PLUMB_INSTANTIATE(T)                                                            \
    template void AttnRes<T>::do_read_backward(const Context&, int, const PreNorm<T>&); \
    template View<const T> AttnRes<T>::do_begin_backward(const Context&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb
