// How a matrix product is cut among threads: into slices of one output dimension, chosen by the
// product's shape alone, each computed by one thread in one call. So its bits do not depend on the
// number of threads, whatever the library underneath does with threads of its own.
#pragma once

#include "core/context.h"

#include <omp.h>

#include <algorithm>
#include <bit>

namespace plumb {

// While it lives, libraries called from this thread work on `n` threads.
class LibraryThreads {
public:
    explicit LibraryThreads(int n) : before_(omp_get_max_threads()) { omp_set_num_threads(n); }
    ~LibraryThreads() { omp_set_num_threads(before_); }
    LibraryThreads(const LibraryThreads&) = delete;
    LibraryThreads& operator=(const LibraryThreads&) = delete;

private:
    int before_;
};

// Length of the slices of a dimension, a multiple of `multiple`: a power of two of them, so that
// 2, 4, 8 threads get equally many; each long enough that handling the other operand once a slice
// costs little (measured: ops/matmul.h).
inline Index slice_size(Index dim, Index multiple) {
    constexpr Index kShortest = 160;
    const auto fit = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(dim / kShortest)));
    const Index count = std::max<Index>(fit, dim >= 64 ? 2 : 1);
    return (dim + count * multiple - 1) / (count * multiple) * multiple;
}

// f(begin, end) for every slice of [0, dim); f returns whether it went well and must not throw.
// Returns whether all did.
template <class F>
bool for_slices(const Context& ctx, Index dim, Index size, F&& f) {
    const Index count = (dim + size - 1) / size;
    const bool parallel = ctx.threads > 1 && count > 1 && !omp_in_parallel();
    bool ok = true;
#pragma omp parallel for schedule(static) num_threads(ctx.threads) if (parallel) reduction(&& : ok)
    for (Index i = 0; i < count; ++i) {
        const LibraryThreads alone(1);
        ok = f(i * size, std::min(dim, (i + 1) * size)) && ok;
    }
    return ok;
}

}  // namespace plumb
