// gemm() on each device.
#include "ops/matmul.h"
#include "catch.h"
#include "core/launch.h"
#include "device/products.h"
#include "emulated/planted.h"
#include "support/environment.h"
#include "support/random.h"

#include <array>
#include <cstring>

namespace plumb::test {
namespace {

struct Case {
    Op op_a, op_b;
    Index m, n, k;
    double alpha, beta;
};

// Rows that are longer than what is used of them.
template <class Real>
struct Operands {
    explicit Operands(const Case& of)
        : at(of),
          a({{'R', of.op_a == Op::none ? of.m : of.k}, {'S', lda()}}, "a"),
          b({{'R', of.op_b == Op::none ? of.k : of.n}, {'S', ldb()}}, "b"),
          c({{'M', of.m}, {'N', ldc()}}, "c") {}

    Index lda() const { return (at.op_a == Op::none ? at.k : at.m) + 3; }
    Index ldb() const { return (at.op_b == Op::none ? at.n : at.k) + 1; }
    Index ldc() const { return at.n + 2; }

    // C (m, ldc) afterwards.
    std::vector<Real> product(Device device) {
        const auto da = on_device(device, a.values()), db = on_device(device, b.values());
        const auto dc = on_device(device, c.values());
        gemm<Real>({device}, at.op_a, at.op_b, at.m, at.n, at.k, static_cast<Real>(at.alpha),
                   da.view().data, lda(), db.view().data, ldb(), static_cast<Real>(at.beta),
                   dc.view().data, ldc());
        return dc.fetch();
    }

    Case at;
    Array<Real> a, b, c;
};

// Against a triple loop; what lies between the rows of C stays.
template <class Real>
double worst_error(const Case& at, Device device) {
    Operands<Real> o(at);
    if (at.beta == 0)
        for (Index i = 0; i < at.m; ++i) o.c.row(i)[0] = std::numeric_limits<Real>::quiet_NaN();
    const std::vector<Real> got = o.product(device);
    double worst = 0;
    for (Index i = 0; i < at.m; ++i) {
        for (Index j = 0; j < at.n; ++j) {
            const auto alpha = static_cast<long double>(static_cast<Real>(at.alpha));
            long double sum = 0, size = 0;
            for (Index p = 0; p < at.k; ++p) {
                const long double term =
                    static_cast<long double>(at.op_a == Op::none ? o.a.row(i)[p] : o.a.row(p)[i]) *
                    (at.op_b == Op::none ? o.b.row(p)[j] : o.b.row(j)[p]);
                sum += alpha * term, size += std::abs(alpha * term);
            }
            if (at.beta != 0) {
                const long double before = static_cast<Real>(at.beta) * o.c.row(i)[j];
                sum += before, size += std::abs(before);
            }
            worst = worse(worst, product_error<Real>(got[static_cast<std::size_t>(i * o.ldc() + j)],
                                                     sum, size, at.k));
        }
        const auto* rest = got.data() + i * o.ldc() + at.n;
        if (std::memcmp(rest, o.c.row(i) + at.n, 2 * sizeof(Real)) != 0)
            worst = std::numeric_limits<double>::infinity();
    }
    return worst;
}

constexpr std::array<Index, 3> kProducts[] = {{5, 3, 7}, {1, 1, 1}, {64, 40, 24}, {33, 65, 17}};

TEST_CASE("alone: float operands are rounded to TF32", "[.alone]") {
    const auto a = on_device<float>(Device::cuda, {1 + 0x1p-12f});
    const auto b = on_device<float>(Device::cuda, {1.0f});
    const DeviceArray<float> c(1, Device::cuda);
    gemm<float>({Device::cuda}, Op::none, Op::none, 1, 1, 1, 1, a.view().data, 1, b.view().data, 1,
                0, c.view().data, 1);
    CHECK(c.fetch()[0] == 1.0f);
}

}  // namespace

TEMPLATE_TEST_CASE("gemm on each device against a triple loop", "[device]", float, double) {
    for (const Device device : {Device::cpu, Device::cuda})
        for (const Op op_a : {Op::none, Op::transpose})
            for (const Op op_b : {Op::none, Op::transpose})
                for (const auto& [m, n, k] : kProducts)
                    for (const auto& [alpha, beta] :
                         {std::array{1.0, 0.0}, {1.0, 1.0}, {0.3, -0.5}}) {
                        INFO(device_name(device)
                             << " " << static_cast<char>(op_a) << static_cast<char>(op_b)
                             << " m=" << m << " n=" << n << " k=" << k << " beta=" << beta);
                        CHECK(worst_error<TestType>({op_a, op_b, m, n, k, alpha, beta}, device) <=
                              1);
                    }
}

TEMPLATE_TEST_CASE("gemm on a GPU gives the same bits twice", "[device]", float, double) {
    Operands<TestType> o({Op::none, Op::transpose, 33, 65, 170, 0.3, 1});
    const auto one = o.product(Device::cuda), two = o.product(Device::cuda);
    CHECK(std::memcmp(one.data(), two.data(), one.size() * sizeof(TestType)) == 0);
}

TEST_CASE("gemm on a GPU: products without numbers", "[device]") {
    const auto x = on_device<float>(Device::cuda, std::vector<float>(64, 2.0f));
    float* p = x.view().data;
    const Context ctx{Device::cuda};
    for (const auto& [m, n] : {std::array<Index, 2>{0, 4}, {4, 0}})
        gemm<float>(ctx, Op::none, Op::none, m, n, 4, 1, p, 4, p + 16, 4, 0, p + 32, 4);
    gemm<float>(ctx, Op::none, Op::none, 4, 4, 0, 1, p, 4, p + 16, 4, 1, p + 32, 4);
    CHECK(x.fetch() == std::vector<float>(64, 2.0f));
    CHECK_THROWS_AS(gemm<float>(ctx, Op::none, Op::none, 4, 4, 0, 1, p, 4, p + 16, 4, 0, p + 32, 4),
                    InternalError);
}

TEST_CASE("gemm on a GPU refuses what cuBLASLt would not notice", "[device]") {
    const auto x = on_device<float>(Device::cuda, std::vector<float>(64, 2.0f));
    float* p = x.view().data;
    const auto product = [&](const float* a, Index lda) {
        gemm<float>({Device::cuda}, Op::none, Op::none, 4, 3, 4, 1, a, lda, p + 16, 4, 0, p + 32,
                    4);
    };
    product(p, 4);
    CHECK_THROWS_WITH(product(p + 1, 4), contains_text("not aligned to 16 bytes: float x float"));
    CHECK_THROWS_WITH(product(p, 3), contains_text("ld less than its rows"));
    const std::vector<float> host(64);
    CHECK_THROWS_AS(product(host.data(), 4), gpu::CudaError);
    CHECK(emulated::take_error() == "");
}

TEST_CASE("gemm on a GPU rounds to TF32 only when asked to", "[device]") {
    Operands<float> o({Op::none, Op::none, 1, 1, 1, 1, 0});
    o.a[0] = 1 + 0x1p-12f, o.b[0] = 1;
    CHECK(o.product(Device::cuda)[0] == 1 + 0x1p-12f);
    const Environment asked("PLUMB_TF32", "1");
    const Ended end = run_alone("alone: float operands are rounded to TF32");
    INFO(end.text);
    CHECK(end.code == 0);
}

}  // namespace plumb::test
