// read(l): one pass over tokens finishes source l-1, mixes the sources, and ends in the pre-norm.
#include "core/parallel.h"
#include "mixers/memories/source_weights.h"
#include "ops/pre_norm_cpu.h"

#include <cmath>

namespace plumb {

// P_i whole; with keys its logits too.
template <class T>
void Sources<T>::finish(const Memory& m, Index n, int i) const {
    T* row = source(m, i, n);
    if (i > 0 && !schedule().starts_block(i)) {
        const T* before = source(m, i - 1, n);
#pragma omp simd
        for (Index j = 0; j < channels(); ++j) row[j] = static_cast<Real>(before[j]) + row[j];
    }
    if (keys_) take_logits(m, n, i, row);
}

// rstd of P_i and its logits with readers in the group at work, unless open_group takes them.
template <class T>
void Sources<T>::take_logits(const Memory& m, Index n, int i, const T* row) const {
    const Index c = head_channels(), normed = norm_channels_;
    for (Index h = 0; h < norms(); ++h) {
        const T* x = row + h * normed;
        rstd(m, n, h)[i] =
            keys_->normed ? Real(1) / std::sqrt(row_dot(x, x, normed) / static_cast<Real>(normed) +
                                                static_cast<Real>(this->shape().norm_eps))
                          : Real(1);
    }
    const int l = i + 1;
    const DepthSchedule::Read& read = schedule().read(l);
    const bool complete = schedule().completes_block(i);
    if (complete && l == read.first) return;
    const Index readers = complete ? read.last - i : 1;
    for (Index h = 0; h < heads(); ++h) {
        Real* s = logit(m, n, h, i, l);
        row_dots<T, Real>(
            1, [&](Index) { return row + h * c; }, readers,
            RowsAt<const Real>{u(m, l, h), channels()}, c, s, readers);
        const Real r = rstd(m, n, h)[i];
        for (Index k = 0; k < readers; ++k) s[k] *= r;
        if (masked_) mask(s, readers, l, i);
    }
}

// Weights w[k * kStep + q] of old source k for query q of the group that l opens, a lane a query,
// and what the read keeps of them.
template <class T>
void Sources<T>::weigh_old(const Memory& m, Index n, Index head, int l, Real* w) const {
    const Index c = head_channels(), queries = sources_.queries(l);
    const std::vector<int>& old = schedule().read(l).old;
    const Index n_old = std::ssize(old);
    Real max[kStep], sum[kStep] = {};
    Real *logits = this->logits(m, n, head, l), *z = lse(m, n, head) + (l - 1);
    const Real* rstd = this->rstd(m, n, head);
    row_dots<T, Real>(n_old, sources_.old_row(token(m, n) + head * c, l), queries,
                      RowsAt<const Real>{u(m, l, head), channels()}, c, logits, queries);
    for (Index k = 0; k < n_old; ++k) {
        const int i = old[at(k)];
        for (Index q = 0; q < queries; ++q) logits[k * queries + q] *= rstd[i];
        if (masked_) mask(logits + k * queries, queries, l, i);
    }
    if (keys_->weights == SourceKeys::Weights::softmax) {
        std::copy_n(logits, kStep, max);
        for (Index k = 1; k < n_old; ++k) {
            const Real* s = logits + k * queries;
#pragma omp simd
            for (Index q = 0; q < kStep; ++q) max[q] = s[q] > max[q] ? s[q] : max[q];
        }
    } else {
        std::fill_n(max, kStep, Real(0));
    }
    for (Index k = 0; k < n_old; ++k)
        add_masses(keys_->weights, logits + k * queries, max, w + k * kStep, sum);
    if (!divides()) {
        std::fill_n(z, queries, Real(0));
        return;
    }
    for (Index q = 0; q < queries; ++q) z[q] = max[q] + std::log(sum[q]);
    for (Index q = 0; q < kStep; ++q) sum[q] = Real(1) / sum[q];
    for (Index k = 0; k < n_old; ++k)
        for (Index q = 0; q < kStep; ++q) w[k * kStep + q] *= sum[q];
}

// The mix of the old sources for every query of the group. The mixes wait for their reads; read(l)
// finds its own in bench.out.
template <class T>
void Sources<T>::open_group(const Memory& m, Index n, int l, const Bench& bench) const {
    const Index c = head_channels();
    for (Index h = 0; h < heads(); ++h) {
        if (keys_) weigh_old(m, n, h, l, bench.t);
        sources_.mix_old(token(m, n) + h * c, l, bench.t, c, bench.out + h * c, channels());
    }
    sources_.leave(token(m, n), l, channels(), bench.out);
}

// Weights of the mix of the old sources, whose logit is what its read kept, and of the fresh ones.
template <class T>
void Sources<T>::weigh_fresh(const Memory& m, Index n, Index head, int l, Real* w) const {
    const std::vector<int>& fresh = schedule().read(l).fresh;
    const Index count = std::ssize(fresh) + 1;
    Real& z = lse(m, n, head)[l - 1];
    if (keys_->weights == SourceKeys::Weights::softmax) {
        std::fill_n(w, 2 * kStep, z);
        for (std::size_t k = 0; k < fresh.size(); ++k) w[k + 1] = *logit(m, n, head, fresh[k], l);
        Real max = z, sum = 0;
        for (Index k = 1; k < count; ++k) max = std::max(max, w[k]);
#pragma omp simd
        for (Index k = 0; k < 2 * kStep; ++k) w[k] = fast_exp(w[k] - max);
        for (Index k = 0; k < count; ++k) sum += w[k];
        const Real scale = Real(1) / sum;
        for (Index k = 0; k < 2 * kStep; ++k) w[k] *= scale;
        z = max + std::log(sum);
        return;
    }
    std::fill_n(w, 2 * kStep, kUnseen);
    for (std::size_t k = 0; k < fresh.size(); ++k) w[k + 1] = *logit(m, n, head, fresh[k], l);
#pragma omp simd
    for (Index k = 0; k < 2 * kStep; ++k) w[k] = fast_sigmoid(w[k]);
    w[0] = fast_exp(z);
    if (!divides()) return;
    Real sum = 0;
    for (Index k = 0; k < count; ++k) sum += w[k];
    for (Index k = 0; k < count; ++k) w[k] /= sum;
    z = std::log(sum);
}

template <class T>
void Sources<T>::merge(const Memory& m, Index n, int l, const Bench& bench) const {
    const Index c = head_channels();
    for (Index h = 0; h < heads(); ++h) {
        Real keyed[2 * kStep];
        if (keys_) weigh_fresh(m, n, h, l, keyed);
        sources_.mix_fresh(token(m, n) + h * c, l, keys_ ? keyed : bench.p, c, bench.out + h * c);
    }
}

// Asks for what read(l) touches of token n, but for the mixes that open_group streams.
template <class T>
[[gnu::always_inline]] inline void Sources<T>::fetch_read(const Memory& m, Index n, int l,
                                                          const PreNorm<T>& norm) const {
    const Index c = channels();
    prefetch_write(source(m, l - 1, n), c);
    if (l > 1 && !schedule().starts_block(l - 1)) prefetch_read(source(m, l - 2, n), c);
    sources_.fetch_read(token(m, n), l, c);
    prefetch_write(norm.xhat.row(n), c);
    if (norm.x) prefetch_write(norm.x.row(n), c);
    if (!keys_) return;
    const GroupLogits& g = group(l);
    for (Index h = 0; h < heads(); ++h) {
        if (l == g.first)
            prefetch_write(logits(m, n, h, l), g.n_rows * g.queries);
        else
            for (const int i : schedule().read(l).fresh) prefetch_write(logit(m, n, h, i, l), 1);
        prefetch_write(lse(m, n, h) + (l - 1), 1);
    }
    for (Index h = 0; h < norms(); ++h) prefetch_write(rstd(m, n, h) + (l - 1), 1);
}

template <class T>
void Sources<T>::do_read(const Context& ctx, int l, const PreNorm<T>& norm) {
    const DepthSchedule::Read& read = schedule().read(l);
    const Memory m = memory(ctx);
    for_chunks(ctx, this->shape().tokens, [&](Index begin, Index end, Index chunk) {
        const Bench b = bench(m, chunk);
        if (!keys_) constants_.open_read(ctx, schedule(), l, b.t, b.p);
        for (Index n = begin; n < end; ++n) {
            if (n + 1 < end) fetch_read(m, n + 1, l, norm);
            finish(m, n, l - 1);
            if (l == read.first) open_group(m, n, l, b);
            if (sources_.merges(l)) merge(m, n, l, b);
            norm_put(norm, n, b.out);
        }
        end_stream();
    });
}

template void Sources<float>::do_read(const Context&, int, const PreNorm<float>&);
template void Sources<double>::do_read(const Context&, int, const PreNorm<double>&);
template void Sources<Bf16>::do_read(const Context&, int, const PreNorm<Bf16>&);

}  // namespace plumb
