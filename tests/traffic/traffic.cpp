#include "traffic/traffic.h"

#include "emulated/device.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <tuple>

namespace plumb::test {
namespace {

bool watching = false;
std::vector<Watched> watched;  // by address
std::vector<Bytes> moved;
// Of an address and a warp, read or written: how often each lane did.
struct Lanes {
    std::array<unsigned, 32> times{};
    unsigned most = 0;
};
std::map<std::tuple<const void*, std::uint64_t, bool>, Lanes> seen;

void note(const void* at, std::size_t bytes, bool written) {
    if (!watching) return;
    const auto* p = static_cast<const std::byte*>(at);
    const auto next = std::upper_bound(watched.begin(), watched.end(), p,
                                       [](auto* x, const Watched& r) { return x < r.begin; });
    if (next == watched.begin() || p >= (next - 1)->end) return;
    const std::uint64_t thread = emulated::thread_index.x, block = emulated::block_index.x;
    Lanes& lanes = seen[{at, block << 16 | thread / 32, written}];
    if (++lanes.times[thread % 32] <= lanes.most) return;
    ++lanes.most;
    Bytes& of = moved[static_cast<std::size_t>(next - 1 - watched.begin())];
    (written ? of.written : of.read) += static_cast<double>(bytes);
}

}  // namespace

void watch(std::vector<Watched> ranges) {
    watched = std::move(ranges);
    std::sort(watched.begin(), watched.end(),
              [](const Watched& a, const Watched& b) { return a.begin < b.begin; });
    moved.assign(watched.size(), {});
    seen.clear();
    watching = true;
}

std::map<std::string, Bytes> traffic() {
    watching = false;
    std::map<std::string, Bytes> all;
    for (std::size_t i = 0; i < watched.size(); ++i) all[watched[i].name] = moved[i];
    return all;
}

}  // namespace plumb::test

// ---- what the compiler has called ---------------------------------------------------------------

#define PLUMB_ACCESS(bytes)                                                  \
    void __tsan_read##bytes(void* p) { plumb::test::note(p, bytes, false); } \
    void __tsan_write##bytes(void* p) { plumb::test::note(p, bytes, true); }
#define PLUMB_UNALIGNED(bytes)                                                         \
    void __tsan_unaligned_read##bytes(void* p) { plumb::test::note(p, bytes, false); } \
    void __tsan_unaligned_write##bytes(void* p) { plumb::test::note(p, bytes, true); }

extern "C" {
PLUMB_ACCESS(1)
PLUMB_ACCESS(2)
PLUMB_ACCESS(4)
PLUMB_ACCESS(8)
PLUMB_ACCESS(16)
PLUMB_UNALIGNED(2)
PLUMB_UNALIGNED(4)
PLUMB_UNALIGNED(8)
PLUMB_UNALIGNED(16)
void __tsan_read_range(void* p, unsigned long bytes) { plumb::test::note(p, bytes, false); }
void __tsan_write_range(void* p, unsigned long bytes) { plumb::test::note(p, bytes, true); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
// Of the guards of what is static in a function.
char __tsan_atomic8_load(const volatile char* p, int) { return *p; }
}
