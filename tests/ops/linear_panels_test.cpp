#include "ops/linear_panels.h"

#include "catch.h"
#include "support/random.h"

#include <cstring>
#include <limits>
#include <vector>

using namespace plumb;
using namespace plumb::test;

namespace {

// Number (k, n) of B in BA16a64b2a, by oneDNN's reading of such a tag: blocks of 64 columns (B)
// outermost, then blocks of rows (A), then 16 of a, 64 of b, 2 of a.
Index place(Index k, Index n, Index depth) {
    const Index blocks = (depth + 31) / 32;
    return ((((n / 64) * blocks + k / 32) * 16 + k % 32 / 2) * 64 + n % 64) * 2 + k % 2;
}

}  // namespace

TEST_CASE("Bf16 weights lie in panels, both ways, zero past their ends", "[ops]") {
    struct Size {
        Index out, in;
    };
    const Size size = GENERATE(Size{1, 1}, Size{3, 130}, Size{64, 64}, Size{65, 33}, Size{130, 31},
                               Size{96, 200}, Size{256, 688});
    const Index out = size.out, in = size.in;
    Array<float> w({{'O', out}, {'I', in}}, "w");
    w.view().data[0] = std::numeric_limits<float>::quiet_NaN();
    const auto packed = [&](int threads) {
        std::vector<Bf16> both(
            static_cast<std::size_t>(panel_numbers(in, out) + panel_numbers(out, in)), Bf16(9.0f));
        pack_panels({Device::cpu, threads}, w.view().data, out, in, both.data(),
                    both.data() + panel_numbers(in, out));
        return both;
    };
    const std::vector<Bf16> got = packed(1);

    std::vector<Bf16> want(got.size());
    Bf16 *forward = want.data(), *input = forward + panel_numbers(in, out);
    for (Index o = 0; o < out; ++o)
        for (Index i = 0; i < in; ++i) {
            const Bf16 x(w.row(o)[i]);
            forward[place(i, o, in)] = x;
            input[place(o, i, out)] = x;
        }
    Index differ = 0;
    for (std::size_t i = 0; i < got.size(); ++i) differ += got[i].bits != want[i].bits;
    CHECK(differ == 0);
    const std::vector<Bf16> of_two = packed(2);
    CHECK(std::memcmp(got.data(), of_two.data(), got.size() * sizeof(Bf16)) == 0);
}
