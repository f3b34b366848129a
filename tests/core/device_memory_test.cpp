#include "core/device_memory.h"

#include "catch.h"
#include "core/gpu.h"

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace plumb;

namespace {

bool built_without_cuda() { return std::string(gpu::version()).empty(); }

bool anything_asks_for_large_pages() {
    std::ifstream maps("/proc/self/smaps");
    for (std::string line; std::getline(maps, line);)
        if (line.starts_with("VmFlags:") && line.find(" hg") != std::string::npos) return true;
    return false;
}

// Whether large pages are asked for where this byte lies.
bool asks_for_large_pages(const void* byte) {
    const auto at = reinterpret_cast<std::uintptr_t>(byte);
    std::ifstream maps("/proc/self/smaps");
    bool here = false;
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        char dash = 0;
        if (std::istringstream(line) >> std::hex >> begin >> dash >> end && dash == '-')
            here = begin <= at && at < end;
        if (here && line.starts_with("VmFlags:")) return line.find(" hg") != std::string::npos;
    }
    return false;
}

}  // namespace

TEST_CASE("a device array starts on a cache line, is zero, and is fetched whole", "[core]") {
    for (const Index size : {1, 31, 32, 1000}) {
        const DeviceArray<double> array(size);
        const View<double> all = array.view();
        CHECK(reinterpret_cast<std::uintptr_t>(all.data) % kDeviceAlign == 0);
        CHECK(array.fetch() == std::vector<double>(static_cast<std::size_t>(size), 0.0));
        for (Index i = 0; i < size; ++i) all.data[i] = static_cast<double>(i + 1);
        CHECK(array.view(size - 1, {{'C', 1}}).data[0] == static_cast<double>(size));
        CHECK(array.fetch().back() == static_cast<double>(size));
        array.clear();
        CHECK(array.fetch() == std::vector<double>(static_cast<std::size_t>(size), 0.0));
    }
    CHECK(DeviceArray<float>().fetch().empty());
    if (built_without_cuda()) CHECK_THROWS_AS(DeviceArray<float>(1, Device::cuda), UsageError);
}

TEST_CASE("a large array lies in large pages, but for what fills no whole one", "[core]") {
    constexpr Index kPage = Index(2) << 20;
    // Memory that another test asked for and freed may come back.
    const bool first = !anything_asks_for_large_pages();
    for (const Index size : {kPage, 5 * kPage / 2 + 1000}) {
        const DeviceArray<char> array(size);
        const char* begin = array.view().data;
        CHECK(reinterpret_cast<std::uintptr_t>(begin) % kPage == 0);
        CHECK(std::all_of(begin, begin + size, [](char c) { return c == 0; }));
        if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) continue;
        CHECK(asks_for_large_pages(begin));
        CHECK(asks_for_large_pages(begin + size / kPage * kPage - 1));
        if (first && size % kPage != 0) CHECK_FALSE(asks_for_large_pages(begin + size - 1));
    }
}

TEST_CASE("an array below a large page asks for none", "[core]") {
    const bool first = !anything_asks_for_large_pages();
    const DeviceArray<char> small((Index(2) << 20) - 1);
    if (first) CHECK_FALSE(asks_for_large_pages(small.view().data));
}

TEST_CASE("host code is not let at the memory of a device", "[core]") {
    float x = 0;
    CHECK(View<float>{&x, {{'C', 1}}}.host().data == &x);
    const View<float> there{&x, {{'C', 1}}, Device::cuda};
    CHECK_THROWS_AS(there.host(), InternalError);
}

TEST_CASE("a device scalar is read by the host, and only from where it can be", "[core]") {
    const DeviceArray<double> numbers(3);
    numbers.view().data[1] = 2.5;
    CHECK(read_scalar(numbers.view(1, {{'S', 1}})) == 2.5);
    CHECK(fetch<double>(numbers.view()) == std::vector<double>{0, 2.5, 0});
    const DeviceArray<double> many(10000);  // more than are fetched at a time
    for (Index i = 0; i < many.size(); ++i) many.view().data[i] = static_cast<double>(i);
    std::vector<double> seen;
    for_fetched<double>(many.view(), [&](double number) { seen.push_back(number); });
    CHECK(seen == many.fetch());
    double x = 4;
    *host_scalar(x).data = 5;
    CHECK(read_scalar(host_scalar(x)) == 5);
    const View<const double> there{&x, {{'S', 1}}, Device::cuda};
    if (!built_without_cuda()) return;
    CHECK_THROWS_AS(read_scalar(there), UsageError);
    CHECK_THROWS_AS(fetch(there), UsageError);
}
