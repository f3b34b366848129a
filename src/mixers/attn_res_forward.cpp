// read(l): one pass over tokens finishes source l-1, mixes the sources, and ends in the pre-norm.
#include "core/parallel.h"
#include "mixers/attn_res.h"
#include "ops/depth_mix.h"
#include "ops/exp.h"

#include <cmath>

namespace plumb {

// P_i whole, its rstd, and its logits with readers in the group at work, unless open_group takes
// them.
template <class T>
void AttnRes<T>::finish(const Memory& m, Index n, int i) const {
    const Index c = this->shape().channels;
    T* row = source(m, i, n);
    if (i > 0 && !schedule_.starts_block(i)) {
        const T* before = source(m, i - 1, n);
#pragma omp simd
        for (Index j = 0; j < c; ++j) row[j] = static_cast<Real>(before[j]) + row[j];
    }
    const Real r = Real(1) / std::sqrt(row_dot(row, row, c) / static_cast<Real>(c) +
                                       static_cast<Real>(this->shape().norm_eps));
    rstd(m, n)[i] = r;
    const int l = i + 1;
    const bool complete = schedule_.completes_block(i);
    if (complete && l == schedule_.read(l).first) return;
    Real* s = logit(m, n, i, l);
    const Real* u = this->u(m, l);
    const Index readers = complete ? schedule_.read(l).last - i : 1;
    row_dots<T, Real>(
        1, [&](Index) { return row; }, readers, [&](Index k) { return u + k * c; }, c, s, readers);
    for (Index k = 0; k < readers; ++k) s[k] *= r;
}

// The mix of the old sources for every query of the group, a lane a query: softmax over the sources
// lane by lane, then one product. The mixes wait in mix(l); read(l) finds its own in bench.out.
template <class T>
void AttnRes<T>::open_group(const Memory& m, Index n, int l, const Bench& bench) const {
    const Index c = this->shape().channels;
    const DepthSchedule::Read& read = schedule_.read(l);
    const Index n_old = std::ssize(read.old), queries = read.last - l + 1;
    Real max[kStep], sum[kStep] = {};
    Real *logits = logit(m, n, 0, l), *lse = this->lse(m, n) + (l - 1);
    const Real* rstd = this->rstd(m, n);
    const auto row = [old = read.old.data(), offset = offset_.data(),
                      first = m.source + n * c](Index k) { return first + offset[old[k]]; };
    row_dots<T, Real>(
        n_old, row, queries, [u = u(m, l), c](Index q) { return u + q * c; }, c, logits, queries);
    for (Index k = 0; k < n_old; ++k) {
        const Real r = rstd[read.old[static_cast<std::size_t>(k)]];
        for (Index q = 0; q < queries; ++q) logits[k * queries + q] *= r;
    }
    std::copy_n(logits, kStep, max);
    for (Index k = 1; k < n_old; ++k) {
        const Real* s = logits + k * queries;
#pragma omp simd
        for (Index q = 0; q < kStep; ++q) max[q] = s[q] > max[q] ? s[q] : max[q];
    }
    for (Index k = 0; k < n_old; ++k) {
        const Real* s = logits + k * queries;
        Real* w = bench.t + k * kStep;
#pragma omp simd
        for (Index q = 0; q < kStep; ++q) {
            w[q] = fast_exp(s[q] - max[q]);
            sum[q] += w[q];
        }
    }
    for (Index q = 0; q < queries; ++q) lse[q] = max[q] + std::log(sum[q]);
    for (Index q = 0; q < kStep; ++q) sum[q] = Real(1) / sum[q];
    for (Index k = 0; k < n_old; ++k)
        for (Index q = 0; q < kStep; ++q) bench.t[k * kStep + q] *= sum[q];
    mix_rows<T>(queries, n_old, row, bench.t, 1, kStep, c, bench.out, c);
    for (Index q = read.fresh.empty() ? 1 : 0; q < queries; ++q)
        stream_row(bench.out + q * c, source(m, mix(l + static_cast<int>(q)), n), c);
}

// h_l from the mix of the old sources, whose logit is its log-sum-exp, and the fresh ones.
template <class T>
void AttnRes<T>::merge(const Memory& m, Index n, int l, const Bench& bench) const {
    const Index c = this->shape().channels;
    const std::vector<int>& fresh = schedule_.read(l).fresh;
    const Index count = std::ssize(fresh) + 1;
    Real& lse = this->lse(m, n)[l - 1];
    Real w[2 * kStep];
    std::fill_n(w, 2 * kStep, lse);
    for (std::size_t k = 0; k < fresh.size(); ++k) w[k + 1] = *logit(m, n, fresh[k], l);
    Real max = lse, sum = 0;
    for (Index k = 1; k < count; ++k) max = std::max(max, w[k]);
#pragma omp simd
    for (Index k = 0; k < 2 * kStep; ++k) w[k] = fast_exp(w[k] - max);
    for (Index k = 0; k < count; ++k) sum += w[k];
    const Real scale = Real(1) / sum;
    for (Index k = 0; k < 2 * kStep; ++k) w[k] *= scale;
    lse = max + std::log(sum);
    const auto row = [offset = fresh_[at(l - 1)].data(), first = m.source + n * c](Index k) {
        return first + offset[k];
    };
    mix_rows<T>(1, count, row, w, 0, 1, c, bench.out, c);
}

// Asks for what read(l) touches of token n, but for the mixes that open_group streams.
template <class T>
[[gnu::always_inline]] inline void AttnRes<T>::fetch_read(const Memory& m, Index n, int l,
                                                          const PreNorm<T>& norm) const {
    const Index c = this->shape().channels;
    const std::vector<int>& old = schedule_.read(l).old;
    const std::vector<Index>& fresh = fresh_[at(l - 1)];
    prefetch_write(source(m, l - 1, n), c);
    if (l > 1 && !schedule_.starts_block(l - 1)) prefetch_read(source(m, l - 2, n), c);
    for (const int i : old) prefetch_read(source(m, i, n), c);
    for (std::size_t k = old.empty() ? 0 : 1; k < fresh.size(); ++k)
        prefetch_read(m.source + fresh[k] + n * c, c);
    prefetch_write(norm.xhat.row(n), c);
    if (norm.x) prefetch_write(norm.x.row(n), c);
    const GroupLogits& g = groups_[at(l - 1)];
    if (l == g.first)
        prefetch_write(logit(m, n, 0, l), g.n_rows * g.queries);
    else
        for (const int i : schedule_.read(l).fresh) prefetch_write(logit(m, n, i, l), 1);
    prefetch_write(lse(m, n) + (l - 1), 1);
    prefetch_write(rstd(m, n) + (l - 1), 1);
}

template <class T>
void AttnRes<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const Index c = this->shape().channels;
    const DepthSchedule::Read& read = schedule_.read(l);
    const Memory m = memory(ctx);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(m, chunk);
        for (Index n = begin; n < end; ++n) {
            if (n + 1 < end) fetch_read(m, n + 1, l, norm);
            finish(m, n, l - 1);
            if (l == read.first) open_group(m, n, l, b);
            if (l > read.first || !read.fresh.empty()) merge(m, n, l, b);
            norm.put(n, b.out);
        }
        end_stream();
    });
    const Index queries = read.last - l + 1;
    this->template moved<T>(ctx, schedule_.read_rows(l) * c);
    this->template moved<Real>(
        ctx, (l == read.first ? 1 : read.last - l + 1) + 2 + std::ssize(read.fresh));
    if (l == read.first) this->template moved<Real>(ctx, (std::ssize(read.old) + 1) * queries);
}

template void AttnRes<float>::do_read(const Context&, int, const PreNorm<float>&);
template void AttnRes<double>::do_read(const Context&, int, const PreNorm<double>&);
template void AttnRes<Bf16>::do_read(const Context&, int, const PreNorm<Bf16>&);

}  // namespace plumb
