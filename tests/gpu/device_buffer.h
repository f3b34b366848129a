// Memory of the device, for checks: NaN bytes until something is put or computed, so that a number
// that nobody wrote shows.
#pragma once

#include "core/bf16.h"
#include "core/launch.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace plumb::test {

using gpu::check;

inline cudaStream_t stream() {  // of all checks: the default stream orders nothing by itself
    static const cudaStream_t s = [] {
        cudaStream_t made = nullptr;
        check(cudaStreamCreate(&made), "cudaStreamCreate");
        return made;
    }();
    return s;
}

template <class X>
class Buffer {
public:
    explicit Buffer(std::size_t n) : n_(std::max<std::size_t>(n, 1)) {
        check(cudaMalloc(reinterpret_cast<void**>(&p_), n_ * sizeof(X)), "cudaMalloc");
        check(cudaMemsetAsync(p_, 0xff, n_ * sizeof(X), stream()), "cudaMemsetAsync");
    }
    explicit Buffer(const std::vector<double>& numbers) : Buffer(numbers.size()) { put(numbers); }
    ~Buffer() { (void)cudaFree(p_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    X* at(std::size_t i = 0) const { return p_ + i; }
    operator X*() const { return p_; }
    std::size_t size() const { return n_; }

    void put(const std::vector<double>& numbers, std::size_t first = 0) {
        std::vector<X> host(numbers.size());
        for (std::size_t i = 0; i < host.size(); ++i)
            host[i] = static_cast<X>(static_cast<RealOf<X>>(numbers[i]));
        put_raw(host, first);
    }
    void put_raw(const std::vector<X>& host, std::size_t first = 0) {
        check(cudaMemcpyAsync(p_ + first, host.data(), host.size() * sizeof(X),
                              cudaMemcpyHostToDevice, stream()),
              "copy to the device");
        check(cudaStreamSynchronize(stream()), "copy to the device");
    }
    std::vector<X> raw(std::size_t first, std::size_t count) const {
        std::vector<X> host(count);
        check(cudaMemcpyAsync(host.data(), p_ + first, count * sizeof(X), cudaMemcpyDeviceToHost,
                              stream()),
              "copy from the device");
        check(cudaStreamSynchronize(stream()), "copy from the device");
        return host;
    }
    std::vector<double> get(std::size_t first, std::size_t count) const {
        const std::vector<X> host = raw(first, count);
        std::vector<double> out;
        for (const X& x : host) out.push_back(static_cast<double>(static_cast<RealOf<X>>(x)));
        return out;
    }
    std::vector<double> get() const { return get(0, n_); }

private:
    X* p_ = nullptr;
    std::size_t n_;
};

}  // namespace plumb::test
