// DeviceArray: numbers in the memory of a device, for as long as it lives: parameters and their
// gradients, what an optimizer keeps, what a frame is made of.
#pragma once

#include "core/view.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace plumb {

// Where an array starts: a cache line, and what wide loads of a GPU want.
inline constexpr std::size_t kDeviceAlign = 128;

struct DeviceFree {
    Device device = Device::cpu;
    void operator()(std::byte* p) const;
};
using DeviceMemory = std::unique_ptr<std::byte, DeviceFree>;

// Bytes that are 0. Throws as gpu::allocate (core/gpu.h).
DeviceMemory allocate_on(Device device, std::size_t bytes);

// Bytes between the host and a device; from a device once it has done what it was asked before.
void copy_to_host(Device device, void* to, const void* from, std::size_t bytes);
void copy_from_host(Device device, void* to, const void* from, std::size_t bytes);
// Every byte is `value`.
void fill_on(Device device, void* p, int value, std::size_t bytes);

// Copies the numbers of a view to `to` on the host, once the device has done what it was asked
// before: whoever wants to know waits here.
template <class T>
void fetch(View<const T> from, T* to) {
    copy_to_host(from.device, to, from.data, static_cast<std::size_t>(from.count()) * sizeof(T));
}
template <class T>
std::vector<T> fetch(View<const T> from) {
    std::vector<T> copy(static_cast<std::size_t>(from.count()));
    fetch(from, copy.data());
    return copy;
}
// Copies numbers of the host to a view.
template <class T>
void put(View<T> to, const T* from) {
    copy_from_host(to.device, to.data, from, static_cast<std::size_t>(to.count()) * sizeof(T));
}
// f(number) for every number of a view, fetched some at a time: no copy of all is needed.
template <class T, class F>
void for_fetched(View<const T> from, F&& f) {
    std::array<T, 4096> some;
    const Index n = from.count(), most = std::ssize(some);
    for (Index begin = 0; begin < n; begin += most) {
        const Index count = std::min(most, n - begin);
        fetch<T>({from.data + begin, {{'P', count}}, from.device}, some.data());
        std::for_each(some.begin(), some.begin() + count, f);
    }
}

// A device scalar is a View<double> of one number: an op writes it, another reads it, and the host
// learns it here.
inline double read_scalar(View<const double> x) {
    double value = 0;
    fetch(x, &value);
    return value;
}
// A number of the host as one.
inline View<double> host_scalar(double& x) { return {&x, {{'S', 1}}}; }
inline View<const double> host_scalar(const double& x) { return {&x, {{'S', 1}}}; }

template <class T>
class DeviceArray {
public:
    DeviceArray() = default;
    // All numbers are 0.
    explicit DeviceArray(Index size, Device device = Device::cpu)
        : memory_(allocate_on(device, static_cast<std::size_t>(size) * sizeof(T))),
          size_(size),
          device_(device) {}

    Index size() const { return size_; }
    View<T> view() const { return view(0, {{'P', size_}}); }
    // A part of it, from number `begin` on.
    View<T> view(Index begin, const Shape& shape) const {
        return {reinterpret_cast<T*>(memory_.get()) + begin, shape, device_};
    }
    void clear() const {
        fill_on(device_, memory_.get(), 0, static_cast<std::size_t>(size_) * sizeof(T));
    }
    // A copy on the host.
    std::vector<T> fetch() const { return plumb::fetch<T>(view()); }

private:
    DeviceMemory memory_;
    Index size_ = 0;
    Device device_ = Device::cpu;
};

}  // namespace plumb
