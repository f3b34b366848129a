#include "train/optimizer_state.h"

#include <algorithm>

namespace plumb {

Index OptimizerState::declare(const std::string& what, const ParamSpec& of, bool squares) {
    require(numbers_.size() == 0, "an optimizer's state is declared before allocate(): " + of.name);
    tensors_.push_back({what + "." + of.name, of.shape, squares, size_});
    size_ += padded_count<float>(of.shape.count());
    return tensors_.back().offset;
}

View<float> OptimizerState::view(std::string_view name) {
    const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                    [&](const StateTensor& t) { return t.name == name; });
    require(found != tensors_.end(),
            [&] { return fmt::format("the optimizer keeps no {}", name); });
    return view(*found);
}

}  // namespace plumb
