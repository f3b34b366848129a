#include "mixers/sinkhorn.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstring>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // false alarms of gcc 12 on AVX-512 intrinsics
#endif

namespace plumb {
namespace {

// Position of the j-th entry of line i: line = column or row.
constexpr int entry(bool column, int i, int j, int k) { return column ? j * k + i : i * k + j; }

// Divides every row or column by its sum + eps, which is kept.
template <int K, class Lanes, class Real>
[[gnu::always_inline]] inline void normalise(bool columns, int size, Real eps, Lanes* p,
                                             Lanes* divisor) {
    const int k = K ? K : size;
    for (int i = 0; i < k; ++i) {
        Lanes sum = Lanes{} + eps;
        for (int j = 0; j < k; ++j) sum += p[entry(columns, i, j, k)];
        const Lanes inverse = Real(1) / sum;
        for (int j = 0; j < k; ++j) p[entry(columns, i, j, k)] *= inverse;
        divisor[i] = sum;
    }
}

// Its backward, y the normalised lines: dx = (dy - <dy, y>) / divisor. y becomes x again.
template <int K, class Lanes, class Real>
[[gnu::always_inline]] inline void normalise_backward(bool columns, int size, Real one, Lanes* y,
                                                      Lanes* g, const Lanes* divisor) {
    const int k = K ? K : size;
    for (int i = 0; i < k; ++i) {
        const Lanes d = divisor[i], inverse = one / d;
        Lanes along{};
        for (int j = 0; j < k; ++j)
            along += g[entry(columns, i, j, k)] * y[entry(columns, i, j, k)];
        for (int j = 0; j < k; ++j) {
            Lanes &to = g[entry(columns, i, j, k)], &value = y[entry(columns, i, j, k)];
            to = (to - along) * inverse;
            value *= d;
        }
    }
}

}  // namespace

template <class Real, int n_lanes>
template <int K>
void Sinkhorn<Real, n_lanes>::run(const Real* logits) {
    using Array = Eigen::Array<Real, n_lanes, 1>;
    const int k = K ? K : k_;
    Lanes p[K ? K * K : kMaxSize * kMaxSize];
    for (int i = 0; i < k; ++i) {
        const auto in = [&](int j) {
            return Eigen::Map<const Array>(logits + (i * k + j) * n_lanes);
        };
        Array max = in(0), sum = Array::Zero(), e[kMaxSize];
        for (int j = 1; j < k; ++j) max = max.max(in(j));
        for (int j = 0; j < k; ++j) sum += e[j] = (in(j)-max).exp();
        for (int j = 0; j < k; ++j) {
            e[j] /= sum;
            std::memcpy(&softmax_[i * k + j], e[j].data(), sizeof(Lanes));
        }
    }
    for (int i = 0; i < k * k; ++i) p[i] = softmax_[i] + Real(kEps);
    normalise<K>(true, k, Real(kEps), p, divisor_);
    for (int pass = 1; pass < n_passes_; pass += 2) {
        normalise<K>(false, k, Real(kEps), p, divisor_ + pass * k);
        normalise<K>(true, k, Real(kEps), p, divisor_ + (pass + 1) * k);
    }
    std::copy_n(p, k * k, last_);
}

template <class Real, int n_lanes>
void Sinkhorn<Real, n_lanes>::forward(const Real* logits, int k, int iters, Real* p) {
    k_ = k;
    n_passes_ = 2 * iters - 1;
    if (k == 4)
        run<4>(logits);
    else
        run<0>(logits);
    std::memcpy(p, last_, static_cast<std::size_t>(k * k) * sizeof(Lanes));
}

template <class Real, int n_lanes>
template <int K>
void Sinkhorn<Real, n_lanes>::run_backward(Real* dlogits) const {
    const int k = K ? K : k_;
    Lanes y[K ? K * K : kMaxSize * kMaxSize], g[K ? K * K : kMaxSize * kMaxSize];
    std::copy_n(last_, k * k, y);
    std::memcpy(g, dlogits, static_cast<std::size_t>(k * k) * sizeof(Lanes));
    for (int pass = n_passes_ - 1; pass > 0; pass -= 2) {
        normalise_backward<K>(true, k, Real(1), y, g, divisor_ + pass * k);
        normalise_backward<K>(false, k, Real(1), y, g, divisor_ + (pass - 1) * k);
    }
    normalise_backward<K>(true, k, Real(1), y, g, divisor_);
    for (int i = 0; i < k; ++i) {
        Lanes along{};
        for (int j = 0; j < k; ++j) along += g[i * k + j] * softmax_[i * k + j];
        for (int j = 0; j < k; ++j) g[i * k + j] = softmax_[i * k + j] * (g[i * k + j] - along);
    }
    std::memcpy(dlogits, g, static_cast<std::size_t>(k * k) * sizeof(Lanes));
}

template <class Real, int n_lanes>
void Sinkhorn<Real, n_lanes>::backward(const Real* dp, Real* dlogits) const {
    std::copy_n(dp, k_ * k_ * n_lanes, dlogits);
    if (k_ == 4)
        run_backward<4>(dlogits);
    else
        run_backward<0>(dlogits);
}

template <class Real>
double marginal_error(const Real* p, int k) {
    double worst = 0;
    for (int i = 0; i < k; ++i)
        for (const bool column : {false, true}) {
            double sum = 0;
            for (int j = 0; j < k; ++j) sum += static_cast<double>(p[entry(column, i, j, k)]);
            worst = std::max(worst, std::abs(sum - 1.0));
        }
    return worst;
}

template class Sinkhorn<float>;
template class Sinkhorn<double>;
template class Sinkhorn<float, 16>;
template class Sinkhorn<double, 16>;
template double marginal_error(const float*, int);
template double marginal_error(const double*, int);

}  // namespace plumb
