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
    void allocate() { numbers_.assign(static_cast<std::size_t>(size_), 0.0f); }

    const std::vector<StateTensor>& tensors() const { return tensors_; }
    View<float> view(const StateTensor& t) { return {at(t.offset), t.shape, Device::cpu}; }
    // Throws InternalError if there is none.
    View<float> view(std::string_view name);
    float* at(Index offset) { return numbers_.data() + offset; }
    // Padding included.
    double bytes() const { return sizeof(float) * static_cast<double>(size_); }

private:
    std::vector<StateTensor> tensors_;
    std::vector<float> numbers_;
    Index size_ = 0;
};

}  // namespace plumb
