#include "core/arena.h"

#include "core/size.h"

#include <cstdlib>
#include <cstring>

namespace plumb {

TensorId Plan::add(std::string name, Shape shape, Lifetime lifetime, std::size_t item_bytes) {
    require(names_.insert(name).second, [&] { return "tensor declared twice: " + name; });
    check_size(name, shape, item_bytes, static_cast<double>(total_));
    const std::size_t bytes = static_cast<std::size_t>(shape.count()) * item_bytes;
    tensors_.push_back({std::move(name), shape, lifetime, bytes, total_});
    total_ += (bytes + kAlign - 1) / kAlign * kAlign;
    return {std::ssize(tensors_) - 1};
}

std::size_t Plan::bytes(Lifetime lifetime) const {
    std::size_t n = 0;
    for (const TensorSpec& t : tensors_)
        if (t.lifetime == lifetime) n += t.bytes;
    return n;
}

void Arena::Free::operator()(std::byte* p) const { std::free(p); }

Arena::Arena(Plan plan, Device device) : plan_(std::move(plan)), device_(device) {
    require(device == Device::cpu, "this build allocates on the CPU only");
    const std::size_t bytes = plan_.total_bytes() + Plan::kAlign;
    base_.reset(static_cast<std::byte*>(
        std::aligned_alloc(Plan::kAlign, bytes / Plan::kAlign * Plan::kAlign)));
    if (!base_) throw std::bad_alloc();
    std::memset(base_.get(), 0, plan_.total_bytes());
#ifdef PLUMB_POISON
    poison();
#endif
}

void Arena::poison() {
    for (const TensorSpec& t : plan_.tensors())
        if (t.lifetime == Lifetime::scratch) std::memset(base_.get() + t.offset, 0xff, t.bytes);
}

}  // namespace plumb
