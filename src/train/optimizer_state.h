// What an optimizer keeps from step to step: numbers of parameters' shapes, by name, in one flat
// array. Checkpoints save and restore it by these names and know no optimizer.
#pragma once

#include "core/params.h"

#include <string>
#include <string_view>
#include <vector>

namespace plumb {

struct StateTensor {
    std::string name;  // m.head.weight: what it is, and of which parameter
    Shape shape;
    bool squares;  // none of its numbers is negative
    Index offset;  // into the flat array
};

class OptimizerState {
public:
    // `what` of a parameter: as many numbers. Those declared one after another for parameters that
    // lie one after another lie as they do, padding included. Returns the offset.
    Index declare(const std::string& what, const ParamSpec& of, bool squares = false);
    // All are 0: no step was made.
    void allocate(Device device = Device::cpu) { numbers_ = DeviceArray<float>(size_, device); }

    const std::vector<StateTensor>& tensors() const { return tensors_; }
    View<float> view(const StateTensor& t) { return view(t.offset, t.shape); }
    View<float> view(Index offset, const Shape& shape) { return numbers_.view(offset, shape); }
    // Throws InternalError if there is none.
    View<float> view(std::string_view name);
    // Padding included.
    double bytes() const { return sizeof(float) * static_cast<double>(size_); }

private:
    std::vector<StateTensor> tensors_;
    DeviceArray<float> numbers_;
    Index size_ = 0;
};

}  // namespace plumb
