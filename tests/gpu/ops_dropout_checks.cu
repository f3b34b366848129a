#include "gpu/ops_checks.h"
#include "ops/dropout.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <class T>
void check_shape(Report& report, long N, long C, double p) {
    const std::uint64_t seed = 0x123456789abcdef0u, pass = 0xfedcba9876543210u;
    Numbers x = drawn<T>("x", static_cast<std::size_t>(N * C));
    x[x.size() / 2] = NAN;
    const DroppedReference want = dropout_reference<T>(seed, pass, p, C, x);
    check_op(report, op_name<T>("dropout p=" + std::to_string(p).substr(0, 4), N, C), [&] {
        const Buffer<T> y(x);
        gpu::dropout<T>(stream(), N, C, {seed, pass, want.threshold, want.factor}, y);
        Outputs out;
        out.add_exact("x", y.get(), want.x);
        return out;
    });
}

}  // namespace

// The CPU's bits, so the CPU's mask.
void check_dropout(Report& report) {
    for_types([&](auto t) {
        for (const auto& [N, C] : kOpShapes) check_shape<decltype(t)>(report, N, C, 0.1);
        check_shape<decltype(t)>(report, 5, 264, 0.75);
    });
}

}  // namespace plumb::test
