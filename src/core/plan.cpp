#include "core/plan.h"

#include "core/size.h"

#include <atomic>

namespace plumb {

namespace {

// To AddressSanitizer a frame is one block, where the end of a tensor is the begin of the next.
// There every tensor is followed by bytes that nobody may touch.
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kGap = Plan::kAlign;
#else
constexpr std::size_t kGap = 0;
#endif

}  // namespace

Origin new_origin() {
    static std::atomic<Origin> last{0};
    return ++last;
}

std::size_t Plan::add(const std::string& name, const Shape& shape, Lifetime lifetime,
                      std::size_t item_bytes) {
    const std::string full = prefix_ + name;
    require(names_.insert(full).second, [&] { return "tensor declared twice: " + full; });
    check_size(full, shape, item_bytes, static_cast<double>(total_ - tensors_.size() * kGap));
    const std::size_t bytes = static_cast<std::size_t>(shape.count()) * item_bytes;
    const std::size_t offset = total_;
    tensors_.push_back({full, shape, lifetime, bytes, offset});
    total_ += (bytes + kAlign - 1) / kAlign * kAlign + kGap;
    return offset;
}

std::size_t Plan::share(const std::string& name, const Shape& shape, std::size_t item_bytes) {
    const auto [it, is_new] = shared_.try_emplace(prefix_ + name, tensors_.size());
    if (is_new) return add(name, shape, Lifetime::scratch, item_bytes);
    const TensorSpec& first = tensors_[it->second];
    require(
        first.shape == shape && first.bytes == static_cast<std::size_t>(shape.count()) * item_bytes,
        [&] { return "scratch shared as another type or shape: " + first.name; });
    return first.offset;
}

std::size_t Plan::bytes(Lifetime lifetime) const {
    std::size_t n = 0;
    for (const TensorSpec& t : tensors_)
        if (t.lifetime == lifetime) n += t.bytes;
    return n;
}

std::vector<std::shared_ptr<void>> Plan::new_states() const {
    std::vector<std::shared_ptr<void>> made;
    made.reserve(states_.size());
    for (const auto& make : states_) made.push_back(make());
    return made;
}

}  // namespace plumb
