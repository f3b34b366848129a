#include "gpu/ops_checks.h"
#include "ops/embedding.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <class T>
void check_shape(Report& report, long N, long C, int V) {
    using Real = RealOf<T>;
    const auto rows = static_cast<std::size_t>(N), columns = static_cast<std::size_t>(C),
               size = static_cast<std::size_t>(V) * columns;
    const Numbers drawn_ids = normal_numbers("ids", rows), dout = drawn<T>("dout", rows * columns),
                  table = drawn<Real>("table", size), before = drawn<Real>("dtable", size);
    std::vector<std::int32_t> ids;  // the middle ones often, the outer ones hardly
    for (const double x : drawn_ids)
        ids.push_back(std::clamp(static_cast<int>(V * (0.5 + 0.2 * x)), 0, V - 1));
    const EmbeddingReference want = embedding_reference<T>(C, ids, table, dout, before);
    check_op(report, op_name<T>("embedding V=" + std::to_string(V), N, C), [&] {
        Buffer<std::int32_t> tokens(rows);
        tokens.put_raw(ids);
        const Buffer<Real> from(table), dtable(before);
        const Buffer<T> out(rows * columns), d(dout);
        gpu::embedding<T>(stream(), N, C, tokens, from, out);
        gpu::embedding_backward<T>(stream(), N, C, tokens, d, dtable);
        Outputs o;
        o.add_exact("out", out.get(), want.out);
        o.add_exact("dtable", dtable.get(), want.dtable);
        return o;
    });
}

}  // namespace

// The CPU's bits.
void check_embedding(Report& report) {
    for_types([&](auto t) {
        using T = decltype(t);
        for (const auto& [N, C] : kOpShapes) check_shape<T>(report, N, C, 11);
        check_shape<T>(report, 700, 72, 3);    // more of an id than a block compares at once
        check_shape<T>(report, 300, 8, 1000);  // few twice
        check_shape<T>(report, 5, 2056, 3);    // more channels than a block has
    });
}

}  // namespace plumb::test
