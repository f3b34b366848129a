#include "ops/embedding.h"

#include "catch.h"
#include "support/bf16.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("embedding copies rows, its gradient adds to them", "[ops]") {
    for (const Index c : {1, 7, 65, 130}) {
        const Index n = 9, v = 4;
        Array<std::int32_t> tokens({{'N', n}}, 0);
        for (Index i = 0; i < n; ++i) tokens[i] = static_cast<std::int32_t>(i * i % 3);  // 3 unused
        Array<double> table({{'V', v}, {'C', c}}, "table"), out({{'N', n}, {'C', c}}, 9.0);
        Array<double> dout({{'N', n}, {'C', c}}, "dout"), dtable({{'V', v}, {'C', c}}, 1.0);
        embedding<double>({}, tokens, table, out);
        embedding_backward<double>({Device::cpu, 2}, tokens, dout, dtable);
        std::vector<double> want(static_cast<std::size_t>(v * c), 1.0);
        for (Index i = 0; i < n; ++i)
            for (Index k = 0; k < c; ++k) {
                CHECK(out.row(i)[k] == table.row(tokens[i])[k]);
                want[static_cast<std::size_t>(tokens[i] * c + k)] += dout.row(i)[k];
            }
        CHECK(dtable.values() == want);  // the order of additions is fixed
    }
}

TEST_CASE("embedding in Bf16: rows are rounded, gradients add up in float", "[ops]") {
    const Index n = 300, v = 4, c = 65;
    Array<std::int32_t> tokens({{'N', n}}, 0);
    for (Index i = 0; i < n; ++i) tokens[i] = static_cast<std::int32_t>(i * i % 3);
    Array<float> table({{'V', v}, {'C', c}}, "table"), dtable({{'V', v}, {'C', c}}, 1.0F);
    Array<Bf16> out({{'N', n}, {'C', c}}, Bf16(9.0F));
    embedding<Bf16>({}, tokens, table, out);
    Array<double> dout({{'N', n}, {'C', c}}, "dout"), want({{'V', v}, {'C', c}}, 1.0);
    Array<Bf16> dout16 = rounded(dout);
    embedding_backward<Bf16>({Device::cpu, 2}, tokens, dout16, dtable);
    embedding_backward<double>({}, tokens, dout, want);
    Index wrong = 0;
    for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < c; ++k)
            wrong += out.row(i)[k].bits != Bf16(table.row(tokens[i])[k]).bits;
    CHECK(wrong == 0);
    // 300 additions of numbers of order 1 in float.
    CHECK(worst_error(dtable, want, 1.0) <= 300 * 6e-8 * 4);
}
