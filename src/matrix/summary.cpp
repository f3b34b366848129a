#include "matrix/summary.h"

#include <cmath>

namespace plumb {

template <class Real>
MatrixSummary summarise_matrix(const DepthMatrix<Real>& mixer, Index n_sample) {
    const Index rows = mixer.shape().sublayers + 1, g = mixer.matrix_channels();
    const Index n_tokens = mixer.shape().tokens, square = rows * rows;
    MatrixSummary s;
    s.rows = rows;
    s.n_sample = std::min(n_sample, n_tokens);
    std::vector<Real> m(static_cast<std::size_t>(square * g));
    std::vector<double> sum(static_cast<std::size_t>(square)), squares(sum.size());
    for (Index n = 0; n < n_tokens; ++n) {
        mixer.depth_matrix(n, {m.data(), {{'L', rows}, {'S', rows}, {'G', g}}, Device::cpu});
        // Token n is sampled where the running share of samples steps up.
        const bool sampled = n * s.n_sample / n_tokens != (n + 1) * s.n_sample / n_tokens;
        for (std::size_t e = 0; e < sum.size(); ++e) {
            double mean = 0;
            for (std::size_t k = 0; k < static_cast<std::size_t>(g); ++k) {
                const auto x = static_cast<double>(m[e * static_cast<std::size_t>(g) + k]);
                mean += x;
                squares[e] += x * x;
            }
            sum[e] += mean;
            if (sampled) s.sample.push_back(static_cast<float>(mean / static_cast<double>(g)));
        }
    }
    const double count = static_cast<double>(n_tokens * g);
    for (std::size_t e = 0; e < sum.size(); ++e) {
        const double mean = sum[e] / count;
        s.mean.push_back(static_cast<float>(mean));
        s.std.push_back(
            static_cast<float>(std::sqrt(std::max(0.0, squares[e] / count - mean * mean))));
    }
    return s;
}

template MatrixSummary summarise_matrix(const DepthMatrix<float>&, Index);
template MatrixSummary summarise_matrix(const DepthMatrix<double>&, Index);

}  // namespace plumb
