#include "matrix/summary.h"

#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

namespace plumb {

template <class Real>
struct MatrixSums<Real>::Token {
    std::vector<Real> m;                   // (L+1, L+1, G)
    std::vector<double> mean, squares;     // of M over channels (L+1, L+1)
    std::vector<double> share, magnitude;  // (L+1, L+1)
    std::vector<double> effective;         // (L+1); 0: h_l is zero
    std::vector<double> h, part;           // (C) a read, and what a source adds to it

    Token(Index rows, Index gates, Index channels)
        : m(static_cast<std::size_t>(rows * rows * gates)),
          mean(static_cast<std::size_t>(rows * rows)),
          squares(mean.size()),
          share(mean.size()),
          magnitude(mean.size()),
          effective(static_cast<std::size_t>(rows)),
          h(static_cast<std::size_t>(channels)),
          part(h.size()) {}
};

template <class Real>
MatrixSums<Real>::MatrixSums(const DepthMatrix<Real>& mixer, Index n_sample, int way)
    : mixer_(mixer),
      way_(way),
      rows_(mixer.shape().sublayers() + 1),
      n_sample_(n_sample),
      sum_(static_cast<std::size_t>(rows_ * rows_)),
      squares_(sum_.size()),
      reads_(static_cast<std::size_t>(rows_)),
      effective_(reads_.size()) {}

namespace {

// part (C) = M[l,i] v_i of one token; m has a number for each group of channels.
template <class Real>
void source_part(const Real* m, Index gates, const Real* v, std::vector<double>& part) {
    const Index c = std::ssize(part);
    if (gates == 1) {
        const auto weight = static_cast<double>(*m);
        for (Index k = 0; k < c; ++k) part.data()[k] = weight * static_cast<double>(v[k]);
    } else {
        for (Index k = 0; k < c; ++k)
            part.data()[k] = static_cast<double>(m[k * gates / c]) * static_cast<double>(v[k]);
    }
}

}  // namespace

// Row `row` (l = row + 1) of the shares of token n.
template <class Real>
void MatrixSums<Real>::measure_read(Index row, Index n, std::span<const View<const Real>> outputs,
                                    Token& t) const {
    const Index gates = mixer_.matrix_channels(), c = std::ssize(t.h);
    const auto part_of = [&](Index i) {
        source_part(t.m.data() + (row * rows_ + i) * gates, gates,
                    outputs[static_cast<std::size_t>(i)].host().row(n), t.part);
    };
    std::fill(t.h.begin(), t.h.end(), 0.0);
    for (Index i = 0; i <= row; ++i) {
        part_of(i);
        axpy(1.0, t.part.data(), t.h.data(), c);
    }
    const double square = dot(t.h.data(), t.h.data(), c);
    double shares = 0;
    for (Index i = 0; i <= row; ++i) {
        const auto at = static_cast<std::size_t>(row * rows_ + i);
        part_of(i);
        t.share[at] = square > 0 ? dot(t.part.data(), t.h.data(), c) / square : 0.0;
        t.magnitude[at] =
            square > 0 ? std::sqrt(dot(t.part.data(), t.part.data(), c) / square) : 0.0;
        shares += t.share[at] * t.share[at];
    }
    t.effective[static_cast<std::size_t>(row)] = shares > 0 ? 1 / shares : 0.0;
}

template <class Real>
void MatrixSums<Real>::measure(const typename DepthMatrix<Real>::OfToken& matrices, Index n,
                               std::span<const View<const Real>> outputs, Token& t) const {
    const Index gates = mixer_.matrix_channels();
    matrices(n, {t.m.data(), {{'L', rows_}, {'S', rows_}, {'G', gates}}, Device::cpu}, way_);
    for (std::size_t e = 0; e < t.mean.size(); ++e) {
        t.mean[e] = t.squares[e] = 0;
        for (Index k = 0; k < gates; ++k) {
            const auto x = static_cast<double>(
                t.m[e * static_cast<std::size_t>(gates) + static_cast<std::size_t>(k)]);
            t.mean[e] += x / static_cast<double>(gates);
            t.squares[e] += x * x / static_cast<double>(gates);
        }
    }
    if (outputs.empty()) return;
    for (Index row = 0; row < rows_; ++row) measure_read(row, n, outputs, t);
}

template <class Real>
void MatrixSums<Real>::add_token(const Token& t, bool sampled) {
    for (std::size_t e = 0; e < sum_.size(); ++e) {
        sum_[e] += t.mean[e];
        squares_[e] += t.squares[e];
        if (sampled) sample_.push_back(t.mean[e]);
    }
    if (share_.empty()) return;
    for (Index row = 0; row < rows_; ++row) {
        const auto r = static_cast<std::size_t>(row);
        if (!(t.effective[r] > 0)) continue;
        const double n = ++reads_[r];
        effective_[r] += t.effective[r];
        for (Index i = 0; i <= row; ++i) {
            const auto e = static_cast<std::size_t>(row * rows_ + i);
            const double delta = t.share[e] - share_[e];
            share_[e] += delta / n;
            share_spread_[e] += delta * (t.share[e] - share_[e]);
            magnitude_[e] += (t.magnitude[e] - magnitude_[e]) / n;
        }
    }
}

// Tokens of a group are measured side by side and added in order: the same bits for any threads.
template <class Real>
void MatrixSums<Real>::add(const Context& ctx, Index tokens,
                           std::span<const View<const Real>> outputs) {
    require(outputs.empty() || std::ssize(outputs) == rows_, "outputs are v_0..v_L");
    require(tokens <= mixer_.shape().tokens, "more tokens than a pass has");
    if (!outputs.empty() && share_.empty())
        share_.resize(sum_.size()), share_spread_ = magnitude_ = share_;
    const bool first = tokens_ == 0;
    if (first) n_sample_ = std::min(n_sample_, tokens);
    std::vector<Token> group;
    for (int k = 0; k < 8 * ctx.threads; ++k)
        group.emplace_back(rows_, mixer_.matrix_channels(), mixer_.shape().channels);
    const Index size = std::ssize(group);
    const auto matrices = mixer_.matrices(ctx);
    for (Index begin = 0; begin < tokens; begin += size) {
        const Index count = std::min(size, tokens - begin);
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (ctx.threads > 1)
        for (Index k = 0; k < count; ++k)
            measure(matrices, begin + k, outputs, group[static_cast<std::size_t>(k)]);
        for (Index k = 0; k < count; ++k) {
            // Token n is sampled where the running share of samples steps up.
            const Index n = begin + k;
            const bool sampled = first && n * n_sample_ / tokens != (n + 1) * n_sample_ / tokens;
            add_token(group[static_cast<std::size_t>(k)], sampled);
        }
    }
    tokens_ += static_cast<double>(tokens);
}

template <class Real>
MatrixSummary MatrixSums<Real>::summary() const {
    MatrixSummary s;
    s.rows = rows_;
    s.sample = sample_;
    s.n_sample = std::ssize(sample_) / (rows_ * rows_);
    for (std::size_t e = 0; e < sum_.size(); ++e) {
        const double mean = sum_[e] / tokens_;
        s.mean.push_back(mean);
        s.std.push_back(std::sqrt(std::max(0.0, squares_[e] / tokens_ - mean * mean)));
    }
    if (share_.empty()) return s;
    s.share = share_;
    s.magnitude = magnitude_;
    for (std::size_t e = 0; e < share_.size(); ++e) {
        const double reads = reads_[e / static_cast<std::size_t>(rows_)];
        s.share_std.push_back(reads > 0 ? std::sqrt(share_spread_[e] / reads) : 0.0);
    }
    for (std::size_t r = 0; r < reads_.size(); ++r)
        s.effective_sources.push_back(reads_[r] > 0 ? effective_[r] / reads_[r] : 0.0);
    return s;
}

template class MatrixSums<float>;
template class MatrixSums<double>;

}  // namespace plumb
