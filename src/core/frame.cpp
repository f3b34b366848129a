#include "core/frame.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace plumb {

Frame::Frame(Plan plan)
    : plan_(std::move(plan)),
      base_(allocate_on(plan_.device(), plan_.total_bytes())),
      states_(plan_.new_states()) {
#ifdef PLUMB_POISON
    poison();
#endif
#ifdef __SANITIZE_ADDRESS__
    if (device() != Device::cpu) return;
    const std::vector<TensorSpec>& all = plan_.tensors();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t end = all[i].offset + all[i].bytes;
        const std::size_t next = i + 1 < all.size() ? all[i + 1].offset : plan_.total_bytes();
        ASAN_POISON_MEMORY_REGION(base_.get() + end, next - end);
    }
#endif
}

void Frame::poison() {
    for (const TensorSpec& t : plan_.tensors())
        if (t.lifetime == Lifetime::scratch)
            fill_on(device(), base_.get() + t.offset, 0xff, t.bytes);
}

void Frame::foreign(const char* what) {
    throw InternalError(fmt::format("a {} of another {} than the frame's", what,
                                    what[0] == 'p' ? "store" : "plan"));
}

}  // namespace plumb
