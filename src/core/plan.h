// Plan -> Frame -> View. Components declare the tensors they need and keep handles; a frame
// allocates once for all of them; nothing allocates inside a step. The plan is also what
// `plumb train --dry-run` prints, by name.
#pragma once

#include "core/device_memory.h"
#include "core/handle.h"

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace plumb {

// saved: written in forward, read in backward. scratch: dead between two uses; poisoned with NaN
// when a frame is made (and by Frame::poison) in builds with PLUMB_POISON.
enum class Lifetime : std::uint8_t { saved, scratch };

struct TensorSpec {
    std::string name;  // layer.3.attn.qkv
    Shape shape;
    Lifetime lifetime;
    std::size_t bytes;   // without padding
    std::size_t offset;  // from the frame's base
};

class Plan {
public:
    static constexpr std::size_t kAlign = kDeviceAlign;

    explicit Plan(Device device = Device::cpu) : device_(device) {}

    // These throw InternalError for a name declared twice, UsageError for a size beyond
    // core/size.h.
    template <class T>
    Tensor<T> saved(const std::string& name, const Shape& shape) {
        return {add(name, shape, Lifetime::saved, sizeof(T)), shape, origin_};
    }
    template <class T>
    Tensor<T> scratch(const std::string& name, const Shape& shape) {
        return {add(name, shape, Lifetime::scratch, sizeof(T)), shape, origin_};
    }
    // What the passes of the CPU alone work in: rows and sums of a chunk, weights as they want
    // them. Empty in a plan for another device.
    template <class T>
    Tensor<T> cpu_scratch(const std::string& name, const Shape& shape) {
        return device_ == Device::cpu ? scratch<T>(name, shape) : Tensor<T>{};
    }
    // Scratch that all who declare it under this name work in, one after another. Throws
    // InternalError where they want another type or shape.
    template <class T>
    Tensor<T> shared_scratch(const std::string& name, const Shape& shape) {
        return {share(name, shape, sizeof(T)), shape, origin_};
    }
    template <class T>
    Tensor<T> shared_cpu_scratch(const std::string& name, const Shape& shape) {
        return device_ == Device::cpu ? shared_scratch<T>(name, shape) : Tensor<T>{};
    }
    // Every frame starts with a copy of `first`.
    template <class S>
    FrameState<S> state(S first) {
        states_.push_back([first = std::move(first)] { return std::make_shared<S>(first); });
        return {states_.size() - 1, origin_};
    }
    // Names from now on begin with this.
    void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }

    const std::vector<TensorSpec>& tensors() const { return tensors_; }
    std::size_t total_bytes() const { return total_; }  // padding included
    std::size_t bytes(Lifetime lifetime) const;

    Device device() const { return device_; }
    Origin origin() const { return origin_; }
    std::vector<std::shared_ptr<void>> new_states() const;

private:
    std::size_t add(const std::string& name, const Shape& shape, Lifetime lifetime,
                    std::size_t item_bytes);
    std::size_t share(const std::string& name, const Shape& shape, std::size_t item_bytes);

    Device device_;
    Origin origin_ = new_origin();
    std::string prefix_;
    std::vector<TensorSpec> tensors_;
    std::vector<std::function<std::shared_ptr<void>()>> states_;
    std::unordered_set<std::string> names_;
    std::unordered_map<std::string, std::size_t> shared_;  // by full name, the place in tensors_
    std::size_t total_ = 0;
};

}  // namespace plumb
