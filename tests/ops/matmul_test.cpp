#include "ops/matmul.h"

#include "catch.h"
#include "support/random.h"

#include <cstring>
#include <limits>

using namespace plumb;
using namespace plumb::test;

namespace {

// Against a triple loop in double, with leading dimensions wider than the rows: a multiple of
// `stride`, or of any size.
template <class Real>
double gemm_error(Op op_a, Op op_b, Index m, Index n, Index k, Real alpha, Real beta, int threads,
                  Index stride) {
    const bool ta = op_a == Op::transpose, tb = op_b == Op::transpose;
    const auto wider = [&](Index least) { return (least + stride - 1) / stride * stride; };
    const Index lda = wider((ta ? m : k) + 3), ldb = wider((tb ? k : n) + 1), ldc = n + 2;
    Array<Real> a({{'M', ta ? k : m}, {'K', lda}}, "a"), b({{'K', tb ? n : k}, {'N', ldb}}, "b");
    Array<Real> c({{'M', m}, {'N', ldc}}, "c");
    std::vector<double> want(c.values().begin(), c.values().end());
    if (beta == Real(0))  // beta = 0 overwrites whatever was there
        for (Index i = 0; i < m; ++i) c.row(i)[0] = std::numeric_limits<Real>::quiet_NaN();
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            double sum = 0;
            for (Index p = 0; p < k; ++p)
                sum += static_cast<double>(ta ? a.row(p)[i] : a.row(i)[p]) *
                       static_cast<double>(tb ? b.row(j)[p] : b.row(p)[j]);
            double& w = want[static_cast<std::size_t>(i * ldc + j)];
            w = static_cast<double>(alpha) * sum +
                (beta == Real(0) ? 0 : static_cast<double>(beta) * w);
        }
    gemm<Real>({Device::cpu, threads}, op_a, op_b, m, n, k, alpha, a.values().data(), lda,
               b.values().data(), ldb, beta, c.values().data(), ldc);
    return relative_error(c.span(), std::span(want));
}

}  // namespace

TEMPLATE_TEST_CASE("gemm against a triple loop", "[ops]", float, double) {
    const double eps = std::numeric_limits<TestType>::epsilon();
    for (const Op a : {Op::none, Op::transpose})
        for (const Op b : {Op::none, Op::transpose})
            for (const auto& [m, n, k, stride] : {std::array<Index, 4>{1, 1, 1, 1},
                                                  {3, 5, 7, 1},
                                                  {65, 1, 33, 1},
                                                  {1, 130, 64, 1},
                                                  {64, 63, 130, 1},
                                                  {65, 70, 1100, 512},  // copied
                                                  {64, 480, 512, 512},
                                                  {496, 64, 513, 512},
                                                  {63, 130, 1030, 512}})
                for (const double beta : {0.0, 1.0, -0.5}) {
                    INFO("m=" << m << " n=" << n << " k=" << k << " beta=" << beta);
                    CHECK(gemm_error<TestType>(a, b, m, n, k, TestType(1), TestType(beta), 1,
                                               stride) <= 20 * eps);
                    CHECK(gemm_error<TestType>(a, b, m, n, k, TestType(0.3), TestType(beta), 2,
                                               stride) <= 20 * eps);
                }
}

TEMPLATE_TEST_CASE("gemm gives the same bits for any number of threads", "[ops]", float, double) {
    // Long inner dimensions, matrix-vector products and odd sizes: where a library that cuts the
    // inner dimension by threads would differ.
    for (const auto& [m, n, k] : {std::array<Index, 3>{513, 129, 1031},
                                  {130, 517, 2050},
                                  {1000, 1, 1500},
                                  {1, 1376, 300},
                                  {7, 700, 1100},
                                  {300, 257, 66},
                                  {512, 257, 1100},
                                  {300, 1024, 700}})
        for (const Op op_a : {Op::none, Op::transpose})
            for (const Op op_b : {Op::none, Op::transpose}) {
                INFO("m=" << m << " n=" << n << " k=" << k);
                const Array<TestType> a({{'A', m * k}}, "a"), b({{'B', k * n}}, "b");
                const auto product = [&, m = m, n = n, k = k](int threads) {
                    Array<TestType> c({{'C', m * n}}, "c");
                    gemm<TestType>({Device::cpu, threads}, op_a, op_b, m, n, k, TestType(1),
                                   View<const TestType>(a).data, op_a == Op::none ? k : m,
                                   View<const TestType>(b).data, op_b == Op::none ? n : k,
                                   TestType(1), c.values().data(), n);
                    return c;
                };
                Array<TestType> one = product(1);
                for (const int threads : {2, 3}) {
                    Array<TestType> more = product(threads);
                    CHECK(std::memcmp(one.values().data(), more.values().data(),
                                      one.values().size() * sizeof(TestType)) == 0);
                }
            }
}
