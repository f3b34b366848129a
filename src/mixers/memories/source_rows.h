// SourceRows: the rows of mixes over depth, and the two phases of a read over them
// (depth_schedule.h). Rows are appended and never change; only their memory has other lives before
// and after.
//
// Which tensors share memory, (N, C) each:
//
//     memory of   before F_i             until backward is at i   from then on
//     source i    the mix that waits     P_i                      the gradients of sources that
//                 for read i, if any                              have i as their place
//     spare       that of read L+1       -                        those of the newest sources
//
// Read i finds its waiting mix before F_i writes v_i. Gradients of source j go to place(j) > j,
// which no later pass reads: pulls go from the newest source to the oldest.
#pragma once

#include "core/plan.h"
#include "core/simd.h"
#include "mixers/memories/depth_schedule.h"
#include "ops/depth_mix.h"

#include <string>

namespace plumb {

template <class T>
class SourceRows {
public:
    using Real = RealOf<T>;
    // Loops over readers or queries run in steps of kStep, past the end of what counts.
    static constexpr Index kStep = 8;
    static_assert(kStep >= DepthSchedule::kMaxGroup);

    explicit SourceRows(DepthSchedule schedule) : s_(std::move(schedule)) {}

    // `spare` (N, C): free in forward, and in backward where gradients of the newest group go
    // there.
    void declare(Plan& plan, const std::string& name, const Shape& shape, const Tensor<T>& spare) {
        for (int i = 0; i <= s_.sublayers(); ++i)
            tensors_.push_back(plan.saved<T>(fmt::format("{}.{}", name, i), shape));
        tensors_.push_back(spare);
        for (const Tensor<T>& x : tensors_)
            offset_.push_back(
                (static_cast<Index>(x.offset) - static_cast<Index>(tensors_[0].offset)) /
                static_cast<Index>(sizeof(T)));
        for (int l = 1; l <= s_.sublayers() + 1; ++l) {
            terms_.emplace_back();
            if (s_.read(l).waits) terms_.back().push_back(offset_[at(l)]);
            for (const int i : s_.read(l).fresh) terms_.back().push_back(offset_[at(i)]);
        }
    }

    const DepthSchedule& schedule() const { return s_; }
    const Tensor<T>& tensor(int i) const { return tensors_[at(i)]; }
    // Source i of the token whose source 0 is at x.
    T* row(T* x, int i) const { return x + offset_[at(i)]; }
    // Which source's memory gathers source i's gradient.
    int place(int i) const { return s_.place(i) < 0 ? s_.sublayers() + 1 : s_.place(i); }
    Index queries(int l) const { return s_.read(l).last - l + 1; }
    // Whether read(l) has more to add than the mix it makes as the first of its group.
    bool merges(int l) const { return l > s_.read(l).first || !s_.read(l).fresh.empty(); }
    Index n_terms(int l) const { return std::ssize(terms_[at(l - 1)]); }

    // The rest is of `count` numbers from x on, those of one token or of several that follow each
    // other; rows of out are `stride` apart.

    // First phase, at a group's first read l: out[q] = sum_k w[k * kStep + q] (old source k).
    void mix_old(const T* x, int l, const Real* w, Index count, Real* out, Index stride) const {
        mix_rows<T>(queries(l), std::ssize(s_.read(l).old), old_row(x, l), w, 1, kStep, count, out,
                    stride);
    }
    auto old_row(const T* x, int l) const {
        return [old = s_.read(l).old.data(), offset = offset_.data(), x](Index k) {
            return x + offset[old[k]];
        };
    }
    // Those mixes to where their reads find them.
    void leave(T* x, int l, Index count, const Real* out) const {
        for (Index q = merges(l) ? 0 : 1; q < queries(l); ++q)
            if (const int reader = l + static_cast<int>(q); s_.read(reader).waits)
                stream_row(out + q * count, row(x, reader), count);
    }
    // Second phase: out = sum_k w[k] (term k), the terms being the mix that waits, if any, and the
    // fresh sources.
    void mix_fresh(const T* x, int l, const Real* w, Index count, Real* out) const {
        mix_row<T>(
            n_terms(l), [offset = terms_[at(l - 1)].data(), x](Index k) { return x + offset[k]; },
            w, count, out);
    }
    // Asks for the rows that read(l) mixes, but for those it makes itself.
    [[gnu::always_inline]] void fetch_read(const T* x, int l, Index count) const {
        for (const int i : s_.read(l).old) prefetch_read(x + offset_[at(i)], count);
        const std::vector<Index>& terms = terms_[at(l - 1)];
        const bool makes = l == s_.read(l).first && s_.read(l).waits;
        for (std::size_t k = makes ? 1 : 0; k < terms.size(); ++k)
            prefetch_read(x + terms[k], count);
    }

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }

    DepthSchedule s_;
    std::vector<Tensor<T>> tensors_;         // P_i (N, C), i = 0..L, and the spare
    std::vector<Index> offset_;              // numbers from source 0
    std::vector<std::vector<Index>> terms_;  // index l - 1: offsets
};

}  // namespace plumb
