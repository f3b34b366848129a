// Where threads meet: what is right gives the same bits in any order, what is wrong is named.
#include "catch.h"
#include "emulated/planted.h"

#include <cmath>

namespace plumb::test {
namespace {

template <class... P>
std::string error_of_one_block(const char* name, void (*kernel)(P...), unsigned threads,
                               P... args) {
    return error_of([&] { launch(stream(), name, kernel, {1, threads}, args...); });
}

}  // namespace

TEST_CASE("emulated: sums over blocks are right in every order", "[emulated]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Buffer<float> x(ones(4 * 96)), y(4 * 96);
        launch(stream(), "block_sum", block_sum<true>, {4, 96}, x.at(), y.at());
        CHECK(y.get() == std::vector<double>(4 * 96, 96.0));
        launch(stream(), "two_sums", two_sums<true>, {1, 96}, y.at());
        CHECK(y.get(0, 96) == std::vector<double>(96, 9.0));
        launch(stream(), "half_warps", half_warps, {1, 32}, y.at());
        CHECK(y.get(0, 1)[0] == 120.0);
        CHECK(y.get(31, 1)[0] == 376.0);
    }
}

TEST_CASE("emulated: orders of threads differ by seed, and 0 is as they are numbered",
          "[emulated]") {
    // The last thread of a block to write y[0] wins.
    const auto last = [](std::uint64_t order) {
        emulated::set_order(order);
        Buffer<float> y(2);
        launch(
            stream(), "last", +[](float* out) { out[0] = static_cast<float>(threadIdx.x); },
            {1, 128}, y.at());
        return y.get(0, 1)[0];
    };
    CHECK(last(0) == 127);
    CHECK(last(5) == last(5));
    std::vector<double> seen;
    for (std::uint64_t order = 1; order <= 20; ++order) seen.push_back(last(order));
    std::sort(seen.begin(), seen.end());
    CHECK(std::unique(seen.begin(), seen.end()) - seen.begin() > 8);
}

TEST_CASE("emulated: a missing barrier leaves NaN or old numbers, in every order",
          "[emulated][wrong-order]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Buffer<float> x(ones(128)), y(128);
        launch(stream(), "block_sum", block_sum<false>, {1, 128}, x.at(), y.at());
        double sum = 0;
        for (const double v : y.get()) sum += v;
        CHECK(std::isnan(sum));
        launch(stream(), "two_sums", two_sums<false>, {1, 128}, y.at());
        CHECK(y.get() != std::vector<double>(128, 12.0));
    }
}

TEST_CASE("emulated: a barrier that not all threads reach from one place", "[emulated]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Buffer<float> y(128);
        std::string text = error_of_one_block("in_one_branch", in_one_branch, 128, y.at());
        CHECK_THAT(text, contains_text("in_one_branch, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text(line_with("in_one_branch", "sync")));
        text = error_of_one_block("in_two_branches", in_two_branches, 128, y.at());
        CHECK_THAT(text, contains_text("in_two_branches, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text(line_with("in_two_branches", "sync")));
        CHECK_THAT(text, contains_text(line_with("in_two_branches", "sync", 2)));
        text = error_of_one_block("after_return", after_return, 128, 100, y.at());
        CHECK_THAT(text, contains_text("after_return, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text(line_with("after_return", "sync")));
        CHECK_THAT(text, contains_text("returned"));
    }
}

TEST_CASE("emulated: warp operations that lanes do not share", "[emulated]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Buffer<float> y(128);
        std::string text = error_of_one_block("part_of_a_warp", part_of_a_warp, 128, y.at());
        CHECK_THAT(text, contains_text("part_of_a_warp, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text("48 threads returned"));
        CHECK_THAT(text, contains_text("80 threads wait in the warp operation of " +
                                       line_with("part_of_a_warp", "sync")));
        text = error_of_one_block("other_masks", other_masks, 32, y.at());
        CHECK_THAT(text, contains_text("other_masks, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text(line_with("other_masks", "sync")));
        text = error_of_one_block("other_operations", other_operations, 32, y.at());
        CHECK_THAT(text, contains_text(line_with("other_operations", "sync")) &&
                             contains_text(line_with("other_operations", "sync", 2)));
        text = error_of_one_block("without_itself", without_itself, 32, y.at());
        CHECK_THAT(text, contains_text("lacks the lane that calls it"));
        text = error_of_one_block("without_itself", without_itself, 8, y.at());
        CHECK_THAT(text, contains_text("lanes that do not exist"));
        text = error_of_one_block("from_outside", from_outside, 32, y.at());
        CHECK_THAT(text, contains_text("from_outside, block (0,0,0), thread ("));
        CHECK_THAT(text, contains_text("not in its mask"));
    }
}

TEST_CASE("emulated: a device whose kernel failed does nothing until the error is taken",
          "[emulated]") {
    emulated::set_order(1);
    Buffer<float> y(ones(64));
    launch(stream(), "in_one_branch", in_one_branch, {1, 64}, y.at());
    CHECK(cudaStreamSynchronize(stream()) == cudaErrorLaunchFailure);
    CHECK_THROWS_AS(launch(stream(), "increment", increment, {1, 1}, y.at()), CudaError);
    CHECK(emulated::take_error() == "");  // check() has taken it
    CHECK(y.get(0, 1)[0] != 2.0);
    launch(stream(), "increment", increment, {1, 1}, y.at());  // works again
    CHECK_NOTHROW(check(cudaStreamSynchronize(stream()), "synchronise"));
}

TEST_CASE("emulated: shuffles, votes as CUDA's guide defines them", "[emulated]") {
    emulated::set_order(3);
    Buffer<std::uint32_t> out(32 * 6);
    launch(
        stream(), "shuffles",
        +[](std::uint32_t* to) {
            const auto l = static_cast<unsigned>(lane_id());
            to[l] = __shfl_sync(~0u, l, 9, 8);
            to[32 + l] = __shfl_xor_sync(~0u, l, 5);
            to[64 + l] = __shfl_down_sync(~0u, l, 3, 16);
            to[96 + l] = __shfl_up_sync(~0u, l, 3, 16);
            to[128 + l] = __ballot_sync(~0u, l % 3 == 0);
            to[160 + l] =
                static_cast<unsigned>(__any_sync(~0u, l == 7) * 2 + __all_sync(~0u, l != 7));
        },
        {1, 32}, out.at());
    const auto got = out.raw(0, out.size());
    std::uint32_t thirds = 0;
    for (unsigned l = 0; l < 32; l += 3) thirds |= 1u << l;
    for (unsigned l = 0; l < 32; ++l) {
        CHECK(got[l] == l / 8 * 8 + 1);
        CHECK(got[32 + l] == (l ^ 5u));
        CHECK(got[64 + l] == (l % 16 + 3 < 16 ? l + 3 : l));
        CHECK(got[96 + l] == (l % 16 >= 3 ? l - 3 : l));
        CHECK(got[128 + l] == thirds);
        CHECK(got[160 + l] == 2);
    }
}

}  // namespace plumb::test
