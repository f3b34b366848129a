#include "emulated/block.h"

#include "emulated/error.h"
#include "emulated/order.h"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulated {

uint3 thread_index, block_index;
dim3 block_size, grid_size;
Block* running = nullptr;
Thread* thread_of_now = nullptr;

namespace {

constexpr std::size_t kPage = 4096;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStack = 256 << 10;
#else
constexpr std::size_t kStack = (races::on ? 256 : 64) << 10;
#endif

char* map_pages(std::size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : static_cast<char*>(p);
}
constexpr std::size_t in_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// For AddressSanitizer: shared memory that nobody declared.
void forbid([[maybe_unused]] char* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(p, bytes);
#endif
}
void allow([[maybe_unused]] char* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
#endif
}

bool same(Site a, Site b) {
    return a.line() == b.line() && a.column() == b.column() &&
           (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}

}  // namespace

// ---- a block from begin to end ------------------------------------------------------------------

Block::Block() {
    static_assert(kSharedSpace % kPage == 0);
    shared_ = map_pages(kSharedSpace + kPage);
    mprotect(shared_ + kSharedSpace, kPage, PROT_NONE);
    objects_.reserve(64);
}

void Block::grow(unsigned threads) {
    if (threads_.size() >= threads) return;
    for (Thread& t : threads_)  // what they stood on is lost, once or twice a program
        if (t.of_races) races::end_fiber(t.of_races);
    threads_ = std::vector<Thread>(threads);
    const std::size_t step = kStack + kPage;
    char* stacks = map_pages(step * threads);
    for (unsigned i = 0; i < threads; ++i) {
        mprotect(stacks + i * step, kPage, PROT_NONE);
        threads_[i].stack = stacks + i * step + kPage;
        threads_[i].bytes = kStack;
        begin(threads_[i], &Block::enter);
    }
    ring_.resize(threads), place_.resize(threads);
    warps_.resize((threads + 31) / 32);
    for (auto& meetings : warps_) {
        meetings.reserve(33);
        if (meetings.empty()) meetings.emplace_back().mask = ~0u;
    }
}

void Block::prepare(const Launch& launch) {
    n_ = launch.block.x * launch.block.y * launch.block.z;
    grow(n_);
}

void Block::reset_shared() {
    const std::size_t dynamic = (launch_->shared + 15) / 16 * 16;
    allow(shared_, kSharedSpace);
    // It was another block's: on a GPU this one has its own.
    races::forget(shared_, in_pages(most_static_));
    races::forget(shared_ + kSharedSpace - in_pages(dynamic), in_pages(dynamic));
    races::fill(shared_, most_static_);
    races::fill(shared_ + kSharedSpace - dynamic, dynamic);
    forbid(shared_, kSharedSpace - dynamic);
    objects_.clear();
    static_bytes_ = static_end_ = 0;
}

// Warps in any order, the lanes of each from any of them on, upwards or downwards.
void Block::put_in_order() {
    Order order(emulated::order(),
                block_index.x + 131071ull * block_index.y + 131071ull * 131071ull * block_index.z);
    warp_first_ = emulated::order() % 2;
    std::vector<unsigned> warps((n_ + 31) / 32);
    for (unsigned w = 0; w < warps.size(); ++w) warps[w] = w;
    for (std::size_t i = warps.size(); order && i > 1; --i)
        std::swap(warps[i - 1], warps[order.below(i)]);
    unsigned at = 0;
    for (const unsigned w : warps) {
        const unsigned size = std::min(32u, n_ - w * 32);
        const auto first = static_cast<unsigned>(order.below(size));
        const bool down = order.below(2);
        for (unsigned k = 0; k < size; ++k, ++at) {
            const unsigned lane = (first + k) % size;
            ring_[at] = w * 32 + (down ? size - 1 - lane : lane);
            place_[ring_[at]] = at;
        }
    }
}

void Block::run(const Launch& launch, uint3 index) {
    prepare(launch);
    running = this, launch_ = &launch;
    block_index = index, block_size = launch.block, grid_size = launch.grid;
    reset_shared();
    races::release(&begun);
    put_in_order();
    barrier_.arrived = 0;
    for (auto& meetings : warps_)
        for (WarpMeeting& m : meetings) m.arrived = 0;
    for (unsigned i = 0; i < n_; ++i) {
        Thread& t = threads_[i];
        t.index = {i % block_size.x, i / block_size.x % block_size.y,
                   i / (block_size.x * block_size.y)};
        t.number = i, t.done = false, t.waits = nullptr;
    }
    live_ = n_, abandoned_ = false;
    outside_.of_races = races::this_fiber();
    go(outside_, &threads_[ring_[0]]);
    running = nullptr;
    if (!abandoned_) return;
    for (Thread& t : threads_) {  // they hang in the middle
        t.copies = {};
        begin(t, &Block::enter);
    }
}

void Block::enter(boost::context::detail::transfer_t from) {
    Thread& self = *thread_of_now;
    arrive(from, self);
    for (;;) {
        races::acquire(&running->begun);
        running->launch_->body();
        races::release(&running->ended);
        running->leave(self);  // and comes back as a thread of another block
    }
}
void Block::leave(Thread& self) {
    if (self.copies.pending())
        fail("the thread returned before its copies to shared memory had arrived: wait for them",
             self.copies.site());
    if (barrier_.arrived > 0)
        fail("the thread returned; others wait for it at the barrier of " +
                 file_and_line(barrier_.site),
             barrier_.site);
    self.done = true;
    Thread* const next = --live_ == 0 ? nullptr : next_of(self);
    if (live_ > 0 && !next) fail_hung(self);
    go(self, next);
}

void Block::go(Fiber& from, Thread* to) {
    ++switches_;
    thread_of_now = to;
    if (to) thread_index = to->index;
    jump(from, to ? static_cast<Fiber&>(*to) : outside_);
}
Thread* Block::next_of(const Thread& t) {
    const auto can = [](const Thread& o) { return !o.done && (!o.waits || *o.waits != o.seen); };
    const unsigned warp = t.number / 32 * 32, size = std::min(32u, n_ - warp);
    for (unsigned k = 1; warp_first_ && k < size; ++k) {
        Thread& lane = threads_[warp + (t.number - warp + k) % size];
        if (can(lane)) return &lane;
    }
    for (unsigned k = 1, at = place_[t.number]; k < n_; ++k) {
        if (++at == n_) at = 0;
        if (can(threads_[ring_[at]])) return &threads_[ring_[at]];
    }
    return nullptr;
}
void Block::wait(const unsigned& generation, const char* what, Site at) {
    Thread& self = *thread_of_now;
    self.waits = &generation, self.seen = generation, self.what = what, self.site = at;
    Thread* const next = next_of(self);
    if (!next) fail_hung(self);
    go(self, next);
    self.waits = nullptr;
}

// ---- what goes wrong ----------------------------------------------------------------------------

std::string Block::who(const Thread& t) const {
    const auto three = [](uint3 i) {
        return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) +
               ")";
    };
    return std::string(launch_->name) + ", block " + three(block_index) + ", thread " +
           three(t.index);
}
void Block::fail(const std::string& what, Site at) {
    Thread& self = *thread_of_now;
    report(cudaErrorLaunchFailure, who(self) + ", " + file_and_line(at) + ": " + what);
    abandoned_ = self.left_for_good = true;
    go(self, nullptr);
    __builtin_unreachable();
}
void Block::fail_hung(const Thread& self) {
    std::map<std::string, std::pair<unsigned, unsigned>> groups;  // how many, the first
    for (unsigned i = 0; i < n_; ++i) {
        const Thread& t = threads_[i];
        auto& [count, first] = groups[t.done ? "returned" : t.what + (" " + file_and_line(t.site))];
        if (count++ == 0) first = i;
    }
    std::string text = "the block hangs:";
    for (const auto& [where, group] : groups)
        text += " " + std::to_string(group.first) + " threads " + where + " (the first is " +
                std::to_string(group.second) + ");";
    text.back() = '.';
    fail(text, self.done ? Site::current() : self.site);
}

// ---- where threads meet -------------------------------------------------------------------------

void Block::barrier(Site at) {
    Meeting& b = barrier_;
    if (live_ < n_) fail("a barrier of the block, from which threads have returned", at);
    if (b.arrived > 0 && !same(b.site, at))
        fail("a barrier; other threads wait at that of " + file_and_line(b.site), at);
    b.site = at;
    char* const tag = &b.tag[b.generation & 1];
    races::release(tag);
    if (++b.arrived == n_)
        b.arrived = 0, ++b.generation;
    else
        wait(b.generation, "wait at the barrier of", at);
    races::acquire(tag);
}

WarpMeeting& Block::meeting(unsigned warp, unsigned mask, Site at) {
    WarpMeeting* found = nullptr;
    for (WarpMeeting& m : warps_[warp]) {
        if (m.mask == mask)
            found = &m;
        else if (m.arrived && (m.mask & mask))
            fail("a warp operation; other lanes wait with another mask at " + file_and_line(m.site),
                 at);
    }
    if (found) return *found;
    if (warps_[warp].size() == 33) fail("more than 33 masks of one warp", at);
    warps_[warp].emplace_back().mask = mask;
    return warps_[warp].back();
}

const std::uint64_t* Block::exchange(WarpOp op, unsigned mask, std::uint64_t bits, Site at) {
    const unsigned number = thread_of_now->number, warp = number / 32, me = number % 32;
    const unsigned there = n_ - warp * 32 >= 32 ? ~0u : (1u << (n_ & 31)) - 1;
    if (!(mask >> me & 1u)) fail("a warp operation whose mask lacks the lane that calls it", at);
    if (mask & ~there) fail("a warp operation whose mask has lanes that do not exist", at);
    WarpMeeting& m = meeting(warp, mask, at);
    if (m.arrived && (m.op != op || !same(m.site, at)))
        fail("a warp operation; other lanes wait in that of " + file_and_line(m.site), at);
    m.op = op, m.site = at;
    std::uint64_t* const slots = m.slots[m.generation & 1];
    char* const tag = &m.tag[m.generation & 1];
    slots[me] = bits;
    const bool orders = op == WarpOp::sync;  // memory: the others do not, says CUDA
    if (orders) races::release(tag);
    m.arrived |= 1u << me;
    if (m.arrived == mask)
        m.arrived = 0, ++m.generation;
    else
        wait(m.generation, "wait in the warp operation of", at);
    if (orders) races::acquire(tag);
    return slots;
}

// ---- shared memory ------------------------------------------------------------------------------

void* Block::shared_object(const void* key, std::size_t bytes) {
    for (const auto& [k, offset] : objects_)
        if (k == key) return shared_ + offset;
    const std::size_t size = (bytes + 15) / 16 * 16, offset = static_end_ + 16;
    static_bytes_ += size, static_end_ = offset + size;
    if (static_bytes_ > kStaticShared) fail("more than 48 KiB of static shared memory", {});
    if (static_bytes_ + launch_->shared > kSharedOfBlock || objects_.size() == 64)
        fail("more than 227 KiB, or 64 objects, of shared memory", {});
    objects_.emplace_back(key, offset);
    allow(shared_ + offset, bytes);
    if (static_end_ > most_static_) {
        races::fill(shared_ + offset, bytes);  // later blocks find it so (reset_shared)
        most_static_ = static_end_;
    }
    return shared_ + offset;
}
// At the end, where a page that nobody may touch follows.
void* Block::shared_dynamic() { return shared_ + kSharedSpace - (launch_->shared + 15) / 16 * 16; }
bool Block::in_shared(const void* p, std::size_t bytes) const {
    const char* c = static_cast<const char*>(p);
    return c >= shared_ && c + bytes <= shared_ + kSharedSpace;
}

// ---- what kernels call --------------------------------------------------------------------------

int lane() { return static_cast<int>(thread_of_now->number % 32); }
void block_barrier(Site at) { running->barrier(at); }
const std::uint64_t* warp_exchange(WarpOp op, unsigned mask, std::uint64_t bits, Site at) {
    return running->exchange(op, mask, bits, at);
}
void* shared_object(const void* key, std::size_t bytes) {
    return running->shared_object(key, bytes);
}
void* shared_dynamic() { return running->shared_dynamic(); }
void fail_here(const char* what, Site at) { running->fail(what, at); }
ptx::Copies& ptx::copies() { return thread_of_now->copies; }
bool in_shared(const void* p) { return running->in_shared(p, 1); }

}  // namespace emulated
