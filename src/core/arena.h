// Plan -> Arena -> View. Components declare the tensors they need; one arena allocates once and
// hands out Views; nothing allocates inside a step. The plan is also what `plumb train --dry-run`
// prints, by name.
#pragma once

#include "core/view.h"

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace plumb {

// saved: written in forward, read in backward. scratch: dead between two uses; poisoned with NaN
// when the arena is built (and by Arena::poison) in builds with PLUMB_POISON.
enum class Lifetime : std::uint8_t { saved, scratch };

struct TensorSpec {
    std::string name;  // layer.3.attn.qkv
    Shape shape;
    Lifetime lifetime;
    std::size_t bytes;   // without padding
    std::size_t offset;  // from the arena's base
};

struct TensorId {
    Index index = -1;
    explicit operator bool() const { return index >= 0; }
};

class Plan {
public:
    static constexpr std::size_t kAlign = 128;

    // Throws InternalError for a name declared twice, UsageError for a size beyond core/size.h.
    template <class T>
    TensorId declare(std::string name, Shape shape, Lifetime lifetime) {
        return add(std::move(name), shape, lifetime, sizeof(T));
    }
    const std::vector<TensorSpec>& tensors() const { return tensors_; }
    std::size_t total_bytes() const { return total_; }  // padding included
    std::size_t bytes(Lifetime lifetime) const;

private:
    TensorId add(std::string name, Shape shape, Lifetime lifetime, std::size_t item_bytes);

    std::vector<TensorSpec> tensors_;
    std::unordered_set<std::string> names_;
    std::size_t total_ = 0;
};

class Arena {
public:
    explicit Arena(Plan plan, Device device = Device::cpu);

    template <class T>
    View<T> view(TensorId id) const {
        const TensorSpec& t = plan_.tensors().at(static_cast<std::size_t>(id.index));
        require(t.bytes == static_cast<std::size_t>(t.shape.count()) * sizeof(T),
                t.name + " is viewed as another type than it was declared");
        return {reinterpret_cast<T*>(base_.get() + t.offset), t.shape, device_};
    }
    const Plan& plan() const { return plan_; }
    // Fills every scratch tensor with NaN bytes, so that a missing write is seen.
    void poison();

private:
    struct Free {
        void operator()(std::byte* p) const;
    };
    Plan plan_;
    Device device_;
    std::unique_ptr<std::byte, Free> base_;
};

}  // namespace plumb
