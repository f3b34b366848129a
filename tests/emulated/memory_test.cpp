// Addresses, limits and what arguments point to.
#include "catch.h"
#include "emulated/planted.h"

#include <cmath>

namespace plumb::test {
namespace {

// Touches what it must not: the program ends. 100 floats: 112 bytes up to the page's end.
TEST_CASE("ends: write past the end", "[.ends]") {
    Buffer<float> y(128);
    launch(stream(), "one_further", one_further, {1, 128}, y.at());
    cudaDeviceSynchronize();
}
TEST_CASE("ends: read past the end", "[.ends]") {
    Buffer<float> x(ones(128)), y(128);
    launch(stream(), "read_one_further", read_one_further, {1, 128}, x.at(), y.at());
    cudaDeviceSynchronize();
}
TEST_CASE("ends: host writes", "[.ends]") {
    Buffer<float> y(128);
    cudaDeviceSynchronize();
    y.at()[3] = 1;
}
TEST_CASE("ends: host reads", "[.ends]") {
    Buffer<float> y(ones(128));
    const volatile float* p = y.at();
    (void)p[3];
}
TEST_CASE("ends: after free", "[.ends]") {
    float* x = nullptr;
    check(cudaMalloc(reinterpret_cast<void**>(&x), 512), "cudaMalloc");
    check(cudaFree(x), "cudaFree");
    Buffer<float> y(128);
    launch(stream(), "block_sum", block_sum<true>, {1, 128}, x, y.at());
    cudaDeviceSynchronize();
}
TEST_CASE("ends: past dynamic shared memory", "[.ends]") {
    Buffer<float> y(1);
    launch(stream(), "past_dynamic", past_dynamic, {1, 1, 64}, 17, y.at());
    cudaDeviceSynchronize();
}
TEST_CASE("ends: deep stack", "[.ends]") {
    Buffer<float> y(1);
    launch(stream(), "deep_stack", deep_stack, {1, 1}, y.at());
    cudaDeviceSynchronize();
}
TEST_CASE("ends: not aligned", "[.ends]") {
    Buffer<float> y(64);
    launch(stream(), "not_aligned", not_aligned, {1, 1}, y.at());
    cudaDeviceSynchronize();
}

}  // namespace

TEST_CASE("emulated: a bad address ends the program with kernel, thread and line", "[emulated]") {
    const auto text_of = [](const char* test) {
        const Ended end = run_alone(std::string("ends: ") + test);
        CHECK(end.code != 0);
        CHECK(end.code != 128 + 14);  // alarm
        return end.text;
    };
#if defined(__SANITIZE_ADDRESS__)  // which stops at some of them before the page does
    for (const char* test : {"write past the end", "read past the end", "after free"})
        CHECK_THAT(text_of(test), contains_text("planted.h:") && contains_text("block_sum") ||
                                      contains_text("planted.h:") && contains_text("further"));
    CHECK_THAT(text_of("past dynamic shared memory"), contains_text("past_dynamic"));
#else
    std::string text = text_of("write past the end");
    CHECK_THAT(text, contains_text("one_further, block (0,0,0), thread (127,0,0) touches 0 bytes "
                                   "past the end of 512 bytes"));
    CHECK_THAT(text, contains_text(line_with("one_further", "+ 1] = 1")));
    text = text_of("read past the end");
    CHECK_THAT(text, contains_text("read_one_further, block (0,0,0), thread (127,0,0)"));
    CHECK_THAT(text, contains_text(line_with("read_one_further", "x[threadIdx.x + 1]")));
    text = text_of("after free");
    CHECK_THAT(text, contains_text("block_sum, block (0,0,0), thread ("));
    CHECK_THAT(text, contains_text("freed device memory"));
    CHECK_THAT(text_of("past dynamic shared memory"),
               contains_text("past_dynamic, block (0,0,0), thread (0,0,0) touches shared memory "
                             "past its end"));
    CHECK_THAT(text_of("deep stack"), contains_text("the stack of an emulated thread is full"));
    CHECK_THAT(text_of("not aligned"), contains_text("16 bytes that are not aligned"));
#endif
    CHECK_THAT(text_of("host writes"), contains_text("the host touches device memory: byte 12"));
    CHECK_THAT(text_of("host reads"), contains_text("the host touches device memory: byte 12"));
}

TEST_CASE("emulated: bytes between the end of an allocation and its page", "[emulated]") {
#if !defined(__SANITIZE_ADDRESS__)
    emulated::set_order(1);
    Buffer<float> x(ones(100)), y(100);
    CHECK_THAT(error_of([&] {
                   launch(stream(), "one_further", one_further, {1, 100}, y.at());
               }),
               contains_text("somebody wrote 0 bytes past the end of 400 bytes"));
    launch(stream(), "read_one_further", read_one_further, {1, 100}, x.at(), y.at());
    CHECK(std::isnan(y.get(99, 1)[0]));
#endif
}

TEST_CASE("emulated: memory that nobody wrote is NaN, in every block", "[emulated]") {
    for (const std::uint64_t order : kOrders) {
        emulated::set_order(order);
        Buffer<double> fresh(3);
        for (const double x : fresh.get()) CHECK(std::isnan(x));
        Buffer<float> x(ones(256)), y(256);
        launch(stream(), "block_sum", block_sum<true>, {2, 128}, x.at(), y.at());  // leaves numbers
        launch(stream(), "never_written", never_written, {4, 64}, y.at());
        for (const double v : y.get(0, 64)) CHECK(std::isnan(v));
    }
}

TEST_CASE("emulated: arguments that point to the host's memory", "[emulated]") {
    std::vector<float> host(128, 1.0f);
    Buffer<float> y(128);
    std::string text = error_of([&] {
        launch(stream(), "block_sum", block_sum<true>, {1, 128}, host.data(), y.at());
    });
    CHECK_THAT(text, contains_text("block_sum: an argument holds the address of host memory"));
    text = error_of([&] {
        launch(stream(), "of_struct", of_struct, {1, 32}, Pointers{128, host.data()}, y.at());
    });
    CHECK_THAT(text, contains_text("of_struct: an argument holds the address of host memory"));
    CHECK(error_of([&] {
              launch(stream(), "of_struct", of_struct, {1, 32}, Pointers{128, y.at()}, y.at());
          }) == "");
}

TEST_CASE("emulated: launches beyond a device's limits", "[emulated]") {
    Buffer<float> x(ones(128)), y(128);
    const auto error = [&](const Grid& grid) {
        return error_of(
            [&] { launch(stream(), "block_sum", block_sum<true>, grid, x.at(), y.at()); });
    };
    CHECK_THAT(error({1, 2048}), contains_text("block_sum: the launch is beyond the limits"));
    CHECK_THAT(error({0, 128}), contains_text("block_sum: the launch is beyond the limits"));
    CHECK_THAT(error({1, 128, 228 << 10}), contains_text("block_sum: the launch is beyond"));
    CHECK(error({1, 128, 226 << 10}) == "");
    CHECK_THAT(error({1, 128, 227 << 10}), contains_text("more than 227 KiB"));
    CHECK_THAT(
        error_of([&] {
            launch(stream(), "too_much_static", too_much_static, {1, 1}, y.at());
        }),
        contains_text("too_much_static, block (0,0,0), thread (0,0,0)") && contains_text("48 KiB"));
    CHECK_THAT(error_of([&] {
                   launch(nullptr, "increment", increment, {1, 1}, y.at());
               }),
               contains_text("the default stream"));
}

TEST_CASE("emulated: copies and frees of what is not there", "[emulated]") {
    std::vector<float> host(128);
    Buffer<float> y(128);
    const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
        return error_of([&] { check(cudaMemcpyAsync(to, from, bytes, kind, stream()), "copy"); });
    };
    CHECK(copy(y.at(), host.data(), 512, cudaMemcpyHostToDevice) == "");
    for (const std::string& text : {copy(host.data(), y.at(), 512, cudaMemcpyHostToDevice),
                                    copy(y.at(), host.data(), 513, cudaMemcpyHostToDevice),
                                    copy(host.data(), y.at(64), 300, cudaMemcpyDeviceToHost)})
        CHECK_THAT(text, contains_text("cudaMemcpyAsync"));
    CHECK_THAT(error_of([&] { check(cudaMemsetAsync(y.at(1), 0, 512, stream()), "fill"); }),
               contains_text("cudaMemsetAsync"));
    CHECK_THAT(error_of([&] { check(cudaFree(y.at(1)), "free"); }), contains_text("cudaFree"));
    float* x = nullptr;
    check(cudaMalloc(reinterpret_cast<void**>(&x), 512), "cudaMalloc");
    check(cudaFree(x), "free");
    CHECK_THAT(error_of([&] { check(cudaFree(x), "free"); }), contains_text("cudaFree"));
    CHECK(cudaMalloc(reinterpret_cast<void**>(&x), std::size_t{1} << 40) ==
          cudaErrorMemoryAllocation);
}

}  // namespace plumb::test
