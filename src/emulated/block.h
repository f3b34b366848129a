// A block of threads, and where they meet: fibers that take turns. One block runs at a time.
//
// The threads stand in a ring, in the order of the seed. A thread runs until it must wait: at a
// barrier or in a warp operation, whose last thread goes on at once; then the next one of the ring
// that can go on does, in odd orders one of its warp if it can: then a warp is at the next barrier
// before another has left the last. When no one can, the block has hung: who waits where is the
// error.
#pragma once

#include "emulated/device.h"
#include "emulated/fiber.h"
#include "emulated/ptx.h"

#include <string>
#include <utility>
#include <vector>

namespace emulated {

inline constexpr std::size_t kSharedOfBlock = 227 << 10, kStaticShared = 48 << 10;
// Objects lie 16 bytes apart, as many as 64 of them.
inline constexpr std::size_t kSharedSpace = kSharedOfBlock + (1 << 10);
inline constexpr unsigned kMaxThreads = 1024;

struct Thread : Fiber {
    uint3 index{};
    unsigned number = 0;  // in the block
    bool done = true;
    const unsigned* waits = nullptr;  // for this generation to be another than `seen`
    unsigned seen = 0;
    const char* what = "";  // it waits in, and where
    Site site{};
    ptx::Copies copies;
};

// Threads that wait for each other. What orders them has a tag for each parity of the generation: a
// thread that is already at the next meeting must not seem to be before one that is still at this.
struct Meeting {
    unsigned generation = 0;
    unsigned arrived = 0;  // a count; of a warp, a mask
    Site site{};
    char tag[2] = {};
};
struct WarpMeeting : Meeting {
    unsigned mask = 0;
    WarpOp op{};
    std::uint64_t slots[2][32] = {};  // by parity too: one wait an operation
};

class Block {
public:
    Block();

    // Makes what a launch needs, before its threads can be said to have begun.
    void prepare(const Launch& launch);
    void run(const Launch& launch, uint3 index);
    std::uint64_t switches() const { return switches_; }
    // What the threads of a grid come after, and what comes after them (races.h).
    char begun = 0, ended = 0;

    // ---- of the thread that runs
    void barrier(Site at);
    const std::uint64_t* exchange(WarpOp op, unsigned mask, std::uint64_t bits, Site at);
    void* shared_object(const void* key, std::size_t bytes);
    void* shared_dynamic();
    bool in_shared(const void* p, std::size_t bytes) const;
    [[noreturn]] void fail(const std::string& what, Site at);
    std::string who(const Thread& t) const;  // "kernel, block (0,0,0), thread (5,0,0)"

private:
    static void enter(boost::context::detail::transfer_t from);
    void grow(unsigned threads);
    void reset_shared();
    void put_in_order();
    void leave(Thread& self);
    void go(Fiber& from, Thread* to);  // null: to whoever runs the block
    Thread* next_of(const Thread& t);  // who can go on; null: nobody
    void wait(const unsigned& generation, const char* what, Site at);
    [[noreturn]] void fail_hung(const Thread& self);
    WarpMeeting& meeting(unsigned warp, unsigned mask, Site at);

    const Launch* launch_ = nullptr;
    unsigned n_ = 0, live_ = 0;
    std::vector<Thread> threads_;
    std::vector<unsigned> ring_, place_;  // thread at a place; place of a thread
    Fiber outside_;
    Meeting barrier_;
    std::vector<std::vector<WarpMeeting>> warps_;  // a meeting for each mask
    char* shared_ = nullptr;  // kSharedSpace bytes, then a page that nobody may touch
    std::size_t static_bytes_ = 0, static_end_ = 0, most_static_ = 0;  // declared; laid out; ever
    std::vector<std::pair<const void*, std::size_t>> objects_;         // key, offset
    bool warp_first_ = false, abandoned_ = false;
    std::uint64_t switches_ = 0;
};

extern Block* running;         // null between blocks
extern Thread* thread_of_now;  // null on the host

}  // namespace emulated
