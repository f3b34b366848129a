#include "ops/depth_mix.h"

#include "catch.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// n rows of c numbers, a rest in between so that they are not contiguous; Bf16 ones are rounded.
template <class T>
struct Rows {
    Rows(Index n, Index c, const char* name) : exact({{'N', n}, {'C', c + 3}}, name) {
        for (const double x : exact.values()) {
            stored.push_back(T(static_cast<RealOf<T>>(x)));
            seen.push_back(static_cast<double>(static_cast<RealOf<T>>(stored.back())));
        }
        stride = c + 3;
    }
    const T* operator()(Index k) const { return stored.data() + k * stride; }
    double at(Index k, Index j) const { return seen[static_cast<std::size_t>(k * stride + j)]; }

    Array<double> exact;
    std::vector<T> stored;
    std::vector<double> seen;
    Index stride = 0;
};

// Errors of both gradients of y's n_y rows as mixes of x's n_x, in units of their largest
// summand's.
template <class X, class Y>
double backward_error(Index c, const Rows<X>& x, Index n_x, const Rows<Y>& d, Index n_d) {
    using Real = RealOf<X>;
    const auto at = [](Index k) { return static_cast<std::size_t>(k); };
    std::vector<Real> w(at(n_d * n_x)), dw(at(n_d * n_x), Real(9)), dx(at(n_x * (c + 1)), Real(1));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = Real(0.25) * static_cast<Real>(i % 9) - 1;
    std::vector<Real> added = dx;
    for (const bool add : {false, true})
        mix_rows_backward<X, Y>(n_d, d, n_x, x, w.data(), n_x, 1, c, (add ? added : dx).data(),
                                c + 1, add, dw.data(), 1, n_d);
    double error = 0;
    for (Index k = 0; k < n_x; ++k) {
        for (Index o = 0; o < n_d; ++o) {
            double sum = 0, size = 1;
            for (Index j = 0; j < c; ++j)
                sum += x.at(k, j) * d.at(o, j), size += std::abs(x.at(k, j) * d.at(o, j));
            error = worse(error, std::abs(static_cast<double>(dw[at(k * n_d + o)]) - sum) / size);
        }
        for (Index j = 0; j < c; ++j) {
            double sum = 0, size = 1;
            for (Index o = 0; o < n_d; ++o) {
                const double term = static_cast<double>(w[at(o * n_x + k)]) * d.at(o, j);
                sum += term, size += std::abs(term);
            }
            const Index i = k * (c + 1) + j;
            error = worse(error, std::abs(static_cast<double>(dx[at(i)]) - sum) / size);
            error = worse(error, std::abs(static_cast<double>(added[at(i)]) - sum - 1) / size);
        }
    }
    return error;
}

// Worst error of dots and mixes of every tile size and rest, in units of their largest summand's.
template <class X, class Y>
double worst_error(Index c) {
    using Real = RealOf<X>;
    double error = 0;
    for (const Index n_x : {1, 2, 3, 5, 8, 17})
        for (const Index n_y : {1, 2, 5, 7, 8, 9, 25}) {
            const Rows<X> x(n_x, c, "x");
            const Rows<Y> y(n_y, c, "y");
            const Index stride = n_y + 2;
            std::vector<Real> dots(static_cast<std::size_t>(n_x * stride), Real(9)),
                out(static_cast<std::size_t>(n_y * (c + 1)), Real(1)), added = out;
            row_dots<X, Y>(n_x, x, n_y, y, c, dots.data(), stride);
            mix_rows<X>(n_y, n_x, x, dots.data(), 1, stride, c, out.data(), c + 1);
            mix_rows<X>(n_y, n_x, x, dots.data(), 1, stride, c, added.data(), c + 1, true);
            error = worse(error, backward_error<X, Y>(c, x, n_x, y, n_y));
            const auto at = [](const std::vector<Real>& v, Index k) {
                return static_cast<double>(v[static_cast<std::size_t>(k)]);
            };
            for (Index a = 0; a < n_x; ++a)
                for (Index r = 0; r < n_y; ++r) {
                    double sum = 0, size = 1;
                    for (Index j = 0; j < c; ++j)
                        sum += x.at(a, j) * y.at(r, j), size += std::abs(x.at(a, j) * y.at(r, j));
                    error = worse(error, std::abs(at(dots, a * stride + r) - sum) / size);
                }
            for (Index r = 0; r < n_y; ++r)
                for (Index j = 0; j < c; ++j) {
                    double sum = 0, size = 1;
                    for (Index a = 0; a < n_x; ++a) {
                        const double term = at(dots, a * stride + r) * x.at(a, j);
                        sum += term, size += std::abs(term);
                    }
                    error = worse(error, std::abs(at(out, r * (c + 1) + j) - sum) / size);
                    error = worse(error, std::abs(at(added, r * (c + 1) + j) - sum - 1) / size);
                }
        }
    return error;
}

}  // namespace

TEST_CASE("products of rows at the edges of their tiles", "[depth_mix]") {
    // 4 eps: each of at most 130 products enters through at most log2(16) + 130/16 + 4 sums, of
    // which the partial ones are far below `size`.
    for (const Index c : {1, 7, 16, 33, 127, 128, 130}) {
        INFO("C=" << c);
        CHECK(worst_error<double, double>(c) <= 4 * std::numeric_limits<double>::epsilon());
        CHECK(worst_error<float, float>(c) <= 4 * std::numeric_limits<float>::epsilon());
        CHECK(worst_error<Bf16, Bf16>(c) <= 4 * std::numeric_limits<float>::epsilon());
        CHECK(worst_error<Bf16, float>(c) <= 4 * std::numeric_limits<float>::epsilon());
    }
}

TEST_CASE("rows are copied and dotted in every storage type", "[depth_mix]") {
    for (const Index c : {1, 15, 16, 65}) {
        const Rows<Bf16> x(1, c, "x");
        std::vector<float> real(static_cast<std::size_t>(c));
        std::vector<Bf16> back(real.size());
        copy_row(x(0), real.data(), c);
        copy_row(real.data(), back.data(), c);
        double sum = 0, size = 1;
        for (Index j = 0; j < c; ++j) {
            CHECK(static_cast<double>(real[static_cast<std::size_t>(j)]) == x.at(0, j));
            CHECK(back[static_cast<std::size_t>(j)].bits == x(0)[j].bits);
            sum += x.at(0, j) * x.at(0, j), size += x.at(0, j) * x.at(0, j);
        }
        const double error = std::abs(static_cast<double>(row_dot(x(0), real.data(), c)) - sum);
        CHECK(error <= 4 * static_cast<double>(std::numeric_limits<float>::epsilon()) * size);
    }
}
