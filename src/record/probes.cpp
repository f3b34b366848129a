#include "record/probes.h"

#include "core/parallel.h"
#include "mixers/layout.h"
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace plumb {
namespace {

// Angle over pi between a and b of norms na, nb > 0. From |u - w| and |u + w| of the unit vectors:
// arccos loses half the digits near 1 (Kahan 2006, "How futile are mindless assessments of
// roundoff").
template <class Real>
double angle(const Real* a, double na, const Real* b, double nb, Index c) {
    double difference = 0, sum = 0;
    for (Index i = 0; i < c; ++i) {
        const double u = static_cast<double>(a[i]) / na, w = static_cast<double>(b[i]) / nb;
        difference += (u - w) * (u - w);
        sum += (u + w) * (u + w);
    }
    return 2 * std::atan2(std::sqrt(difference), std::sqrt(sum)) / std::numbers::pi;
}

template <class Real>
double norm(const Real* x, Index c) {
    return std::sqrt(static_cast<double>(dot(x, x, c)));
}

}  // namespace

double probe_bytes(Index sublayers, Index tokens, Index channels) {
    return static_cast<double>(sublayers + 3) * static_cast<double>(tokens * channels) *
           sizeof(float);
}

template <class Real>
DepthProbe<Real>::DepthProbe(const DepthMatrix<Real>& mixer, Index n_sample)
    : mixer_(mixer),
      layout_(mixer.shape().layout),
      sublayers_(layout_.sublayers()),
      n_(mixer.shape().tokens),
      sums_(static_cast<std::size_t>(sublayers_ + 2)),
      outputs_(static_cast<std::size_t>(sublayers_ + 1)),
      previous_(static_cast<std::size_t>(row(mixer.shape().tokens))),
      norm_(static_cast<std::size_t>(mixer.shape().tokens)) {
    for (auto& v : outputs_) v.resize(previous_.size());
    for (int way = 0; way < mixer.most_ways(); ++way) matrices_.emplace_back(mixer, n_sample, way);
}

template <class Real>
std::vector<MatrixSummary> DepthProbe<Real>::matrices() const {
    std::vector<MatrixSummary> out;
    for (const MatrixSums<Real>& of_way : matrices_) out.push_back(of_way.summary());
    return out;
}

template <class Real>
double DepthProbe<Real>::Sums::rms(Quantity what) const {
    const auto q = static_cast<std::size_t>(what);
    return std::sqrt(squares[q] / numbers[q]);
}

template <class Real>
double DepthProbe<Real>::token_sum(const std::vector<double>& by_token) const {
    return std::accumulate(by_token.begin(), by_token.begin() + n_, 0.0);
}

template <class Real>
void DepthProbe<Real>::tensor(const Context& ctx, Quantity what, int l, View<const Real> shown) {
    const View<const Real> x = shown.host();
    Sums& s = sums_.at(static_cast<std::size_t>(l));
    require(x.count() % mixer_.shape().tokens == 0 && n_ <= mixer_.shape().tokens,
            "a probe listens to its own model");
    if (what == Quantity::output && l == 0) tokens_ += static_cast<double>(n_);
    add_magnitudes(ctx, what, s, x);
    if (what == Quantity::output) keep_output(ctx, l, x);
    if (what == Quantity::read_input) compare_reads(ctx, l, x);
    if (what == Quantity::doutput) {
        const View<const Real> v{outputs_[static_cast<std::size_t>(l)].data(), x.shape};
        std::vector<double> along(norm_.size());
        for_tokens(ctx, n_, [&](Index n) {
            along[static_cast<std::size_t>(n)] =
                static_cast<double>(dot(v.row(n), x.row(n), x.extent(1)));
        });
        s.ablation += token_sum(along);
    }
}

template <class Real>
void DepthProbe<Real>::add_magnitudes(const Context& ctx, Quantity what, Sums& s,
                                      View<const Real> x) {
    const auto q = static_cast<std::size_t>(what);
    const Index numbers = x.count() / mixer_.shape().tokens * n_;
    const View<const Real> counted{x.data, {{'P', numbers}}};
    double square = 0;
    total_dot(ctx, counted, counted, host_scalar(square));
    s.squares[q] += square;
    s.numbers[q] += static_cast<double>(numbers);
    for (Index i = 0; i < numbers; ++i)
        s.largest[q] = std::max(s.largest[q], static_cast<double>(std::abs(x.data[i])));
}

// Remembers v_l, and adds |v_l| / |h_l|.
template <class Real>
void DepthProbe<Real>::keep_output(const Context& ctx, int l, View<const Real> v) {
    std::copy_n(v.data, v.count(), outputs_[static_cast<std::size_t>(l)].data());
    if (l == 0) return;
    std::vector<double> ratios(norm_.size());
    for_tokens(ctx, n_, [&](Index n) {
        const double h = norm_[static_cast<std::size_t>(n)];
        ratios[static_cast<std::size_t>(n)] = h > 0 ? norm(v.row(n), v.extent(1)) / h : 0.0;
    });
    sums_[static_cast<std::size_t>(l)].contribution += token_sum(ratios);
}

// h_l beside h_{l-1}; after the last read M is whole.
template <class Real>
void DepthProbe<Real>::compare_reads(const Context& ctx, int l, View<const Real> h) {
    const Index c = h.extent(1);
    std::vector<double> cosines(norm_.size()), angles(norm_.size());
    for_tokens(ctx, n_, [&](Index n) {
        const auto k = static_cast<std::size_t>(n);
        Real* before = previous_.data() + row(n);
        const double size = norm(h.row(n), c);
        if (l >= 2 && size > 0 && norm_[k] > 0) {
            cosines[k] = static_cast<double>(dot<Real>(h.row(n), before, c)) / (size * norm_[k]);
            angles[k] = angle<Real>(h.row(n), size, before, norm_[k], c);
        }
        norm_[k] = size;
        std::copy(h.row(n), h.row(n) + c, before);
    });
    Sums& s = sums_[static_cast<std::size_t>(l)];
    s.cosine += token_sum(cosines);
    s.angle += token_sum(angles);
    if (l != sublayers_ + 1) return;
    std::vector<View<const Real>> outputs;
    for (const auto& v : outputs_) outputs.push_back({v.data(), h.shape});
    for (MatrixSums<Real>& of_way : matrices_) of_way.add(ctx, n_, outputs);
}

// Of the reads and of what becomes of each source.
template <class Real>
void DepthProbe<Real>::add_shares(std::vector<DepthRecord>& records) const {
    const MatrixSummary m = matrix();
    if (m.share.empty()) return;
    const auto at = [&](Index read, Index source) {
        return static_cast<std::size_t>((read - 1) * m.rows + source);
    };
    for (DepthRecord& r : records) {
        const Index l = r.depth, last = m.rows;
        if (l >= 1) {
            r.effective_sources = m.effective_sources[static_cast<std::size_t>(l - 1)];
            r.embedding_share = m.share[at(l, 0)];
        }
        if (l > sublayers_) continue;
        r.write_share = m.share[at(l + 1, l)];
        r.write_magnitude = m.magnitude[at(l + 1, l)];
        r.output_share = m.share[at(last, l)];
        if (l < sublayers_ && *r.write_share != 0) r.share_kept = *r.output_share / *r.write_share;
    }
}

template <class Real>
std::vector<DepthRecord> DepthProbe<Real>::records() const {
    std::vector<DepthRecord> out;
    for (int depth = 0; depth <= sublayers_ + 1; ++depth) {
        const Sums& s = sums_[static_cast<std::size_t>(depth)];
        DepthRecord& r = out.emplace_back();
        r.depth = depth;
        r.site = layout_.name(depth);
        r.kind = layout_.kind(depth);
        const auto largest = [&](Quantity q) { return s.largest[static_cast<std::size_t>(q)]; };
        if (s.seen(Quantity::output)) {
            r.out_rms = s.rms(Quantity::output);
            r.out_amax = largest(Quantity::output);
            if (depth > 0) r.contribution = s.contribution / tokens_;
        }
        if (s.seen(Quantity::stream)) r.stream_rms = s.rms(Quantity::stream);
        if (s.seen(Quantity::read_input)) {
            r.read_rms = s.rms(Quantity::read_input);
            r.read_amax = largest(Quantity::read_input);
            if (depth >= 2) r.cosine = s.cosine / tokens_, r.angular_distance = s.angle / tokens_;
        }
        if (s.seen(Quantity::doutput)) {
            r.dout_rms = s.rms(Quantity::doutput);
            r.ablation = s.ablation;
        }
        if (s.seen(Quantity::dread_input)) r.dread_rms = s.rms(Quantity::dread_input);
    }
    add_shares(out);
    return out;
}

template class DepthProbe<float>;
template class DepthProbe<double>;

}  // namespace plumb
