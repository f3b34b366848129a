// linear_decode on each device.
#include "ops/linear_decode.h"

#include "catch.h"
#include "device/products.h"
#include "emulated/planted.h"
#include "support/random.h"

#include <cstring>

namespace plumb::test {
namespace {

struct Sizes {
    Index n, out, in;
};
constexpr Sizes kSizes[] = {{1, 1, 1},    {5, 3, 7},     {4, 40, 24},
                            {9, 17, 264}, {2, 11, 1003}, {70, 9, 512}};

template <class T>
std::vector<T> outputs(Device device, const Sizes& s, const std::vector<T>& x,
                       const std::vector<T>& w) {
    const DeviceArray<T> on_x = on_device(device, x), on_w = on_device(device, w);
    const DeviceArray<T> y = on_device(device, std::vector<T>(s.n * s.out, T(9)));
    linear_decode<T>({device}, on_x.view(0, {{'N', s.n}, {'I', s.in}}),
                     on_w.view(0, {{'O', s.out}, {'I', s.in}}),
                     y.view(0, {{'N', s.n}, {'O', s.out}}));
    return y.fetch();
}

}  // namespace

TEMPLATE_TEST_CASE("linear_decode on each device against sums of its operands", "[device]", float,
                   double) {
    using T = TestType;
    for (const Device device : {Device::cpu, Device::cuda})
        for (const Sizes& s : kSizes) {
            INFO(device_name(device) << " n=" << s.n << " out=" << s.out << " in=" << s.in);
            Array<T> x({{'N', s.n}, {'I', s.in}}, "x"), w({{'O', s.out}, {'I', s.in}}, "w");
            const std::vector<T> y = outputs(device, s, x.values(), w.values());
            double worst = 0;
            for (Index at = 0; at < std::ssize(y); ++at) {
                long double sum = 0, size = 0;
                for (Index i = 0; i < s.in; ++i) {
                    const long double term =
                        static_cast<long double>(x.row(at / s.out)[i]) * w.row(at % s.out)[i];
                    sum += term, size += std::abs(term);
                }
                worst = worse(worst,
                              product_error<T>(y[static_cast<std::size_t>(at)], sum, size, s.in));
            }
            CHECK(worst <= 1);
        }
}

TEMPLATE_TEST_CASE(
    "linear_decode: a row has the same bits among any others, in any order of threads", "[device]",
    float, double) {
    using T = TestType;
    const auto bytes = [](const Sizes& s) { return static_cast<std::size_t>(s.out) * sizeof(T); };
    for (const Device device : {Device::cpu, Device::cuda})
        for (const Sizes& s : kSizes) {
            INFO(device_name(device) << " n=" << s.n << " out=" << s.out << " in=" << s.in);
            Array<T> x({{'N', s.n}, {'I', s.in}}, "x"), w({{'O', s.out}, {'I', s.in}}, "w");
            emulated::set_order(0);
            const std::vector<T> together = outputs(device, s, x.values(), w.values());
            emulated::set_order(7);
            for (Index n = 0; n < s.n; ++n) {
                const std::vector<T> row(x.row(n), x.row(n) + s.in);
                const std::vector<T> alone = outputs(device, {1, s.out, s.in}, row, w.values());
                CHECK(std::memcmp(alone.data(), together.data() + n * s.out, bytes(s)) == 0);
            }
            if (s.n == 1) continue;
            std::fill_n(x.row(0), s.in, std::numeric_limits<T>::quiet_NaN());
            const std::vector<T> beside = outputs(device, s, x.values(), w.values());
            CHECK(std::memcmp(beside.data() + s.out, together.data() + s.out,
                              static_cast<std::size_t>(s.n - 1) * bytes(s)) == 0);
            CHECK(beside[0] != beside[0]);
        }
}

TEST_CASE("linear_decode on a GPU: rows of W that start anywhere", "[device]") {
    const Sizes s{3, 5, 24};
    Array<float> x({{'N', s.n}, {'I', s.in}}, "x"), w({{'O', s.out + 1}, {'I', s.in}}, "w");
    const auto on_x = on_device(Device::cuda, x.values());
    const auto on_w = on_device(Device::cuda, w.values());
    const DeviceArray<float> y(s.n * s.out, Device::cuda);
    for (const Index first : {0, 1, 4, 24}) {
        linear_decode<float>({Device::cuda}, on_x.view(0, {{'N', s.n}, {'I', s.in}}),
                             on_w.view(first, {{'O', s.out}, {'I', s.in}}),
                             y.view(0, {{'N', s.n}, {'O', s.out}}));
        const std::vector<float> of(w.values().begin() + first,
                                    w.values().begin() + first + s.out * s.in);
        CHECK(y.fetch() == outputs(Device::cuda, s, x.values(), of));
    }
}

}  // namespace plumb::test
