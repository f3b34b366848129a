#include "mixers/sinkhorn.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

// Pass 0 is over columns, then rows and columns take turns: even passes are over columns.
bool over_columns(int pass) { return pass % 2 == 0; }

// Position of the j-th entry of line i: line = column or row.
std::size_t entry(bool column, int i, int j, int k) {
    return static_cast<std::size_t>(column ? j * k + i : i * k + j);
}

}  // namespace

template <class Real>
void Sinkhorn<Real>::forward(const Real* logits, int k, int iters, Real* p) {
    k_ = k;
    n_passes_ = 2 * iters - 1;
    Matrix current{};
    for (int i = 0; i < k; ++i) {
        const Real* row = logits + i * k;
        const Real max = *std::max_element(row, row + k);
        Real sum = 0;
        for (int j = 0; j < k; ++j) sum += softmax_[entry(false, i, j, k)] = std::exp(row[j] - max);
        for (int j = 0; j < k; ++j) {
            Real& s = softmax_[entry(false, i, j, k)];
            s /= sum;
            current[entry(false, i, j, k)] = s + Real(kEps);
        }
    }
    for (int pass = 0; pass < n_passes_; ++pass) {
        const bool columns = over_columns(pass);
        for (int i = 0; i < k; ++i) {
            Real sum = Real(kEps);
            for (int j = 0; j < k; ++j) sum += current[entry(columns, i, j, k)];
            divisor_[static_cast<std::size_t>(pass)][static_cast<std::size_t>(i)] = sum;
            for (int j = 0; j < k; ++j) current[entry(columns, i, j, k)] /= sum;
        }
        passes_[static_cast<std::size_t>(pass)] = current;
    }
    std::copy(current.begin(), current.begin() + k * k, p);
}

template <class Real>
void Sinkhorn<Real>::backward(const Real* dp, Real* dlogits) const {
    const int k = k_;
    std::copy(dp, dp + k * k, dlogits);
    // y = x / (sum x + eps) along a line: dx = (dy - <dy, y>) / (sum x + eps)
    for (int pass = n_passes_ - 1; pass >= 0; --pass) {
        const bool columns = over_columns(pass);
        const Matrix& y = passes_[static_cast<std::size_t>(pass)];
        for (int i = 0; i < k; ++i) {
            Real along = 0;
            for (int j = 0; j < k; ++j)
                along += dlogits[entry(columns, i, j, k)] * y[entry(columns, i, j, k)];
            const Real d = divisor_[static_cast<std::size_t>(pass)][static_cast<std::size_t>(i)];
            for (int j = 0; j < k; ++j) {
                Real& g = dlogits[entry(columns, i, j, k)];
                g = (g - along) / d;
            }
        }
    }
    for (int i = 0; i < k; ++i) {
        Real along = 0;
        for (int j = 0; j < k; ++j) along += dlogits[i * k + j] * softmax_[entry(false, i, j, k)];
        for (int j = 0; j < k; ++j)
            dlogits[i * k + j] = softmax_[entry(false, i, j, k)] * (dlogits[i * k + j] - along);
    }
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

template struct Sinkhorn<float>;
template struct Sinkhorn<double>;
template double marginal_error(const float*, int);
template double marginal_error(const double*, int);

}  // namespace plumb
