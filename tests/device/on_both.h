// An op, as models call it, on the CPU and on the device of this build, with the same numbers in:
// what it leaves must be the same but for roundings, and the same bits whatever the order of
// threads, blocks and streams.
#pragma once

#include "catch.h"
#include "core/context.h"
#include "core/device_memory.h"
#include "gpu/ops_checks.h"

#include <memory>

namespace plumb::test {

class OnDevice {
public:
    explicit OnDevice(Device device) { ctx.device = device; }

    Context ctx;

    // Numbers in the device's memory.
    template <class X>
    View<X> put(const Numbers& x, const Shape& shape) {
        std::vector<X> host;
        for (const double v : x) host.push_back(static_cast<X>(static_cast<RealOf<X>>(v)));
        require(std::ssize(host) == shape.count(), "as many numbers as the shape has");
        const View<X> view = room<X>(shape);
        plumb::put(view, host.data());
        return view;
    }
    // Bytes that are no numbers, until something is computed.
    template <class X>
    View<X> room(const Shape& shape) {
        const auto memory = std::make_shared<DeviceArray<X>>(shape.count(), ctx.device);
        memory_.push_back(memory);
        const View<X> view = memory->view(0, shape);
        fill_on(ctx.device, view.data, 0xff, static_cast<std::size_t>(shape.count()) * sizeof(X));
        return view;
    }
    // What the op left there. bound: of the error against the size of all; 0: the CPU's bits.
    template <class X>
    void left(const std::string& kind, View<X> view, double bound) {
        Numbers numbers;
        for (const X& x : fetch<X>(view))
            numbers.push_back(static_cast<double>(static_cast<RealOf<X>>(x)));
        all_.push_back({kind, numbers, bound});
    }
    void left(const std::string& kind, double number) { all_.push_back({kind, {number}, 0}); }

    struct Left {
        std::string kind;
        Numbers numbers;
        double bound;
    };
    const std::vector<Left>& all() const { return all_; }

private:
    std::vector<std::shared_ptr<void>> memory_;
    std::vector<Left> all_;
};

inline bool same_bits(const Numbers& a, const Numbers& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

// f(OnDevice&) puts numbers there, calls the op and says what it left.
template <class F>
void on_both(const std::string& name, F&& f) {
    INFO(name);
    OnDevice host(Device::cpu);
    f(host);
    std::vector<OnDevice::Left> first;
    for (int run = 0; run < kRuns; ++run) {
        begin_run(run);
        OnDevice device(Device::cuda);
        f(device);
        if (run == 0) first = device.all();
        REQUIRE(device.all().size() == host.all().size());
        for (std::size_t i = 0; i < first.size(); ++i) {
            const auto& [kind, got, bound] = device.all()[i];
            const Numbers& want = host.all()[i].numbers;
            INFO(kind << ", run " << run);
            CHECK(same_bits(got, first[i].numbers));
            if (bound == 0)
                CHECK(same_bits(got, want));
            else
                CHECK(relative_error(got, want) <= bound);
        }
    }
}

inline constexpr OpShape kDeviceShapes[] = {{1, 7},   {5, 7},   {65, 7},  {1, 8},
                                            {5, 8},   {65, 8},  {1, 64},  {5, 64},
                                            {65, 64}, {1, 264}, {5, 264}, {65, 264}};

// f(T{}, shape), for all.
template <class F>
void for_all(F&& f) {
    for_types([&](auto t) {
        for (const OpShape& s : kDeviceShapes) f(t, s);
    });
}
template <class F>
void for_reals(F&& f) {  // f(Real{})
    f(double{});
    f(float{});
}

inline Shape matrix_shape(long N, long C) { return {{'N', N}, {'C', C}}; }

// n numbers times `size`, as X has them; others for another name.
template <class X>
Numbers some(const std::string& name, Index n, double size = 1) {
    return drawn<X>(name, static_cast<std::size_t>(n), size);
}
// n numbers from 0 to below `most`, each of them often.
inline Numbers ids(Index n, int most) {
    Numbers x = normal_numbers("ids", static_cast<std::size_t>(n));
    for (double& v : x) v = std::clamp(std::floor(most * (0.5 + 0.25 * v)), 0.0, most - 1.0);
    return x;
}

}  // namespace plumb::test
