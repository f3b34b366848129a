#include "ops/reduce.h"

#include "catch.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("reductions over tokens", "[ops]") {
    const Index n = 2 * kTokenChunk + 5, c = 7;
    Array<double> x({{'N', n}, {'C', c}}, "x"), y({{'N', n}, {'C', c}}, "y");
    double want = 0, square = 0;
    for (Index i = 0; i < x.size(); ++i) want += x[i] * y[i], square += x[i] * x[i];
    CHECK(std::abs(dot(x.values().data(), y.values().data(), x.size()) - want) <= 1e-11);
    CHECK(std::abs(total_dot<double>({}, x, y) - want) <= 1e-11);
    CHECK(total_dot<double>({}, x, y) == total_dot<double>({Device::cpu, 2}, x, y));
    CHECK(std::abs(rms<double>({}, x) - std::sqrt(square / static_cast<double>(x.size()))) <=
          1e-14);

    Array<double> sum = y, twin(x.view().shape, 9.0), scaled = y;
    add<double>({}, x, sum);
    copy<double>({}, x, twin);
    axpy(0.5, x.values().data(), scaled.values().data(), x.size());
    CHECK(twin.values() == x.values());
    for (Index i = 0; i < x.size(); ++i) {
        CHECK(sum[i] == y[i] + x[i]);
        CHECK(std::abs(scaled[i] - (y[i] + 0.5 * x[i])) <= 1e-15);
    }

    Array<double> partial({{'P', 3}, {'C', 2}}, "partial"), out({{'C', 2}}, 1.0);
    add_partials<double>(partial, 3, out);
    for (Index k = 0; k < 2; ++k)
        CHECK(std::abs(out[k] - (1 + partial.row(0)[k] + partial.row(1)[k] + partial.row(2)[k])) <=
              1e-15);
}
