#include "model/intervened_walk.h"

#include "core/parallel.h"
#include "ops/pre_norm_cpu.h"

#include <cmath>

namespace plumb {
namespace {

// How far from 1 the sum of a row may be that is taken for an average: rounding of a softmax.
constexpr double kAverageTolerance = 1e-4;

}  // namespace

template <class T>
IntervenedWalk<T>::IntervenedWalk(Interventions what, const MixerShape& shape)
    : what_(std::move(what)), shape_(shape) {
    require(what_.sublayers() == shape.sublayers(), "interventions of another depth");
    if (!what_.masks()) return;
    const auto numbers = static_cast<std::size_t>(shape.tokens * shape.channels);
    v_.assign(static_cast<std::size_t>(shape.sublayers() + 1), std::vector<T>(numbers));
    xhat_.resize(numbers);
    rstd_.resize(static_cast<std::size_t>(shape.tokens));
}

template <class T>
int IntervenedWalk<T>::sublayer_at(int l) const {
    return l > shape_.sublayers() ? l : what_.order[static_cast<std::size_t>(l - 1)];
}

template <class T>
void IntervenedWalk<T>::output(const Context& ctx, int l, View<T> v) {
    const auto place = static_cast<std::size_t>(l);
    const Real gain = static_cast<Real>(what_.gain[place]);
    if (gain != Real(1)) {
        const View<T> rows = on_host(v);
        if (ctx.device != Device::cpu) fetch<T>(v, rows.data);
        for_tokens(ctx, shape_.tokens, [&](Index n) {
            T* row = rows.row(n);
            for (Index i = 0; i < shape_.channels; ++i)
                row[i] = gain == 0 ? Real(0) : gain * Real(row[i]);
        });
        if (ctx.device != Device::cpu) put(v, rows.data);
    }
    if (!v_.empty()) fetch<T>(v, v_[place].data());
}

template <class T>
View<T> IntervenedWalk<T>::on_host(View<T> x) {
    if (x.device == Device::cpu) return x;
    copy_.resize(static_cast<std::size_t>(x.count()));
    return {copy_.data(), x.shape};
}

template <class T>
void IntervenedWalk<T>::masked_read(const Real* row, Index g, const std::vector<bool>& masked,
                                    Index n, std::vector<Real>& h, std::vector<Real>& left) const {
    const auto c = h.size(), gates = static_cast<std::size_t>(g);
    std::vector<Real> sum(gates, Real(0));  // of the whole row
    Real least = 0;
    std::fill(h.begin(), h.end(), Real(0));
    std::fill(left.begin(), left.end(), Real(0));
    for (std::size_t i = 0; i < masked.size(); ++i) {
        const Real* weight = row + i * gates;
        for (std::size_t k = 0; k < gates; ++k) {
            sum[k] += weight[k];
            least = std::min(least, weight[k]);
            if (!masked[i]) left[k] += weight[k];
        }
        if (masked[i]) continue;
        const T* v = v_[i].data() + static_cast<std::size_t>(n) * c;
        for (std::size_t k = 0; k < c; ++k) h[k] += weight[k * gates / c] * Real(v[k]);
    }
    for (std::size_t k = 0; k < c; ++k) {
        const std::size_t gate = k * gates / c;
        const bool average = least >= 0 && std::abs(sum[gate] - 1) <= kAverageTolerance;
        if (average && left[gate] > 0) h[k] /= left[gate];
    }
}

template <class T>
void IntervenedWalk<T>::read(const Context& ctx, int l, const DepthMatrix<Real>& mixer, int way,
                             PreNorm<T> norm) {
    if (!what_.masks(l)) return;
    const std::vector<bool>& masked = what_.masked[static_cast<std::size_t>(l - 1)];
    const Index rows = shape_.sublayers() + 1, c = shape_.channels, g = mixer.matrix_channels();
    const std::vector<Real> gain = fetch<Real>(norm.gain);
    const View<T> x = norm.x;
    norm.xhat = {xhat_.data(), norm.xhat.shape};
    norm.rstd = {rstd_.data(), norm.rstd.shape};
    norm.gain = {gain.data(), norm.gain.shape};
    norm.x = on_host(x);
    const auto matrices = mixer.matrices(ctx);
    for_chunks(ctx, shape_.tokens, [&](Index begin, Index end, Index) {
        std::vector<Real> m(static_cast<std::size_t>(rows * rows * g));
        std::vector<Real> h(static_cast<std::size_t>(c)), left(static_cast<std::size_t>(c));
        for (Index n = begin; n < end; ++n) {
            matrices(n, {m.data(), {{'L', rows}, {'S', rows}, {'G', g}}, Device::cpu}, way);
            masked_read(m.data() + (l - 1) * rows * g, g, masked, n, h, left);
            norm_put(norm, n, h.data());
        }
    });
    if (ctx.device != Device::cpu) put(x, norm.x.data);
}

template class IntervenedWalk<float>;
template class IntervenedWalk<double>;
template class IntervenedWalk<Bf16>;

}  // namespace plumb
