#include "core/arena.h"

#include "core/size.h"

#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace plumb {

namespace {

// To AddressSanitizer the arena is one block, where the end of a tensor is the begin of the next.
// There every tensor is followed by bytes that nobody may touch.
#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kGap = Plan::kAlign;
#else
constexpr std::size_t kGap = 0;
#endif

}  // namespace

TensorId Plan::add(std::string name, Shape shape, Lifetime lifetime, std::size_t item_bytes) {
    require(names_.insert(name).second, [&] { return "tensor declared twice: " + name; });
    check_size(name, shape, item_bytes, static_cast<double>(total_ - tensors_.size() * kGap));
    const std::size_t bytes = static_cast<std::size_t>(shape.count()) * item_bytes;
    tensors_.push_back({std::move(name), shape, lifetime, bytes, total_});
    total_ += (bytes + kAlign - 1) / kAlign * kAlign + kGap;
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
#ifdef __SANITIZE_ADDRESS__
    const std::vector<TensorSpec>& all = plan_.tensors();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t end = all[i].offset + all[i].bytes;
        const std::size_t next = i + 1 < all.size() ? all[i + 1].offset : plan_.total_bytes();
        ASAN_POISON_MEMORY_REGION(base_.get() + end, next - end);
    }
#endif
}

void Arena::poison() {
    for (const TensorSpec& t : plan_.tensors())
        if (t.lifetime == Lifetime::scratch) std::memset(base_.get() + t.offset, 0xff, t.bytes);
}

}  // namespace plumb
