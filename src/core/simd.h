// Vec<Real>: a register full of numbers (vector extensions of GCC and Clang: + - * / work), for
// kernels that keep many running sums in registers, where the compiler does not find them alone.
// Memory may be Real or Bf16; Bf16 widens on load and rounds on store.
#pragma once

#include "core/bf16.h"
#include "core/view.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace plumb {

// kRegisters: how many Vecs the registers hold.
#ifdef __AVX512F__
inline constexpr std::size_t kVecBytes = 64;
inline constexpr int kRegisters = 32;
#else
inline constexpr std::size_t kVecBytes = 32;
inline constexpr int kRegisters = 16;
#endif

inline constexpr Index kLineBytes = 64;  // of a cache

template <class Real>
struct VecOf;
template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(kVecBytes)));
};
template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(kVecBytes)));
};
template <class Real>
using Vec = typename VecOf<Real>::type;

template <class Real>
inline constexpr int kVec = static_cast<int>(kVecBytes / sizeof(Real));

// How many numbers of a Vec are in memory: Full, known at compile time, or an int, the first ones.
// Those missing are zero after a load.
template <class Real>
using Full = std::integral_constant<int, kVec<Real>>;

template <class Real, class Size>
inline Vec<Real> load(const Real* p, Size size) {
    Vec<Real> v{};
    std::memcpy(&v, p, static_cast<std::size_t>(size) * sizeof(Real));
    return v;
}

template <class Real, class Size>
inline void store(Vec<Real> v, Real* p, Size size) {
    std::memcpy(p, &v, static_cast<std::size_t>(size) * sizeof(Real));
}

namespace vec_detail {
typedef std::uint16_t Halves __attribute__((vector_size(kVecBytes / 2)));
typedef std::uint32_t Words __attribute__((vector_size(kVecBytes)));
}  // namespace vec_detail

template <class Real, class Size>
inline Vec<float> load(const Bf16* p, Size size) {
    vec_detail::Halves h{};
    std::memcpy(&h, p, static_cast<std::size_t>(size) * sizeof(Bf16));
    return reinterpret_cast<Vec<float>>(__builtin_convertvector(h, vec_detail::Words) << 16);
}

// As Bf16(float): to nearest even, a NaN stays a NaN.
template <class Real, class Size>
inline void store(Vec<float> v, Bf16* p, Size size) {
#ifdef __AVX512BF16__
    const auto h = _mm512_cvtneps_pbh(v);  // subnormals become 0
#else
    const auto u = reinterpret_cast<vec_detail::Words>(v);
    const auto rounded = (u + 0x7fffU + ((u >> 16) & 1U)) >> 16;
    const auto words = v == v ? rounded : (u >> 16) | 0x40U;
    const auto h = __builtin_convertvector(words, vec_detail::Halves);
#endif
    std::memcpy(static_cast<void*>(p), &h, static_cast<std::size_t>(size) * sizeof(Bf16));
}

// Two Vecs of 2 kVec numbers in a row, for what is done to each number alone. Bf16 come in the
// order that costs least: without instructions for them, those at even places and those at odd
// ones. store_two() promises nothing about a NaN whose lower half is not 0, which no arithmetic on
// Bf16 makes: asking for it takes a fourth of the time of such a loop.
template <class Real>
inline void load_two(const Real* p, Vec<Real>& a, Vec<Real>& b) {
    a = load<Real>(p, Full<Real>{}), b = load<Real>(p + kVec<Real>, Full<Real>{});
}
template <class Real>
inline void store_two(Vec<Real> a, Vec<Real> b, Real* p) {
    store<Real>(a, p, Full<Real>{}), store<Real>(b, p + kVec<Real>, Full<Real>{});
}
template <class Real>
inline void load_two(const Bf16* p, Vec<float>& a, Vec<float>& b) {
#ifdef __AVX512BF16__
    a = load<float>(p, Full<float>{}), b = load<float>(p + kVec<float>, Full<float>{});
#else
    vec_detail::Words w;
    std::memcpy(&w, p, sizeof w);
    a = reinterpret_cast<Vec<float>>(w << 16), b = reinterpret_cast<Vec<float>>(w & 0xffff0000U);
#endif
}
template <class Real>
inline void store_two(Vec<float> a, Vec<float> b, Bf16* p) {
#ifdef __AVX512BF16__
    const auto w = _mm512_cvtne2ps_pbh(b, a);  // subnormals become 0
#else
    const auto rounded = [](Vec<float> v) {
        const auto u = reinterpret_cast<vec_detail::Words>(v);
        return u + 0x7fffU + ((u >> 16) & 1U);
    };
    const vec_detail::Words w = (rounded(a) >> 16) | (rounded(b) & 0xffff0000U);
#endif
    std::memcpy(static_cast<void*>(p), &w, sizeof w);
}

// Full stores past the caches to memory that stream_aligned() accepts.
template <class Real, class T>
inline bool stream_aligned(const T* p) {
    return reinterpret_cast<std::uintptr_t>(p) % (kVec<Real> * sizeof(T)) == 0;
}
inline void stream(Vec<float> v, float* p) {
#ifdef __AVX512F__
    _mm512_stream_ps(p, v);
#else
    store<float>(v, p, Full<float>{});
#endif
}
inline void stream(Vec<double> v, double* p) { store<double>(v, p, Full<double>{}); }
inline void stream(Vec<float> v, Bf16* p) {
#ifdef __AVX512BF16__
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
#else
    store<float>(v, p, Full<float>{});
#endif
}
inline void end_stream() {
#ifdef __AVX512F__
    _mm_sfence();
#endif
}

// The value, in a register from here on: not loaded from memory again at each use.
template <class V>
inline V in_register(V v) {
#ifdef __AVX512F__
    asm("" : "+v"(v));
#elif defined(__AVX__)
    asm("" : "+x"(v));
#endif
    return v;
}

// f(i, size) for every Vec of c numbers: i its first number, the last one perhaps not full, unless
// `exact` promises that it is: without the partial case sums that f adds to stay in registers.
template <class Real, bool exact, class F>
[[gnu::always_inline]] inline void for_vecs(Index c, F&& f) {
    Index i = 0;
    for (; i + kVec<Real> <= c; i += kVec<Real>) f(i, Full<Real>{});
    if constexpr (!exact)
        if (i < c) f(i, static_cast<int>(c - i));
}

// Sums of neighbours: [a0+a1, a2+a3, ..., b0+b1, ...].
template <class Real>
inline Vec<Real> add_neighbours(Vec<Real> a, Vec<Real> b) {
    return [&]<int... i>(std::integer_sequence<int, i...>) {
#ifdef __clang__
        return __builtin_shufflevector(a, b, (2 * i)...) +
               __builtin_shufflevector(a, b, (2 * i + 1)...);
#else  // GCC's other form: nvcc hands the one above to GCC without its dots
        typedef decltype(Vec<Real>{} < Vec<Real>{}) Places;
        return __builtin_shuffle(a, b, Places{(2 * i)...}) +
               __builtin_shuffle(a, b, Places{(2 * i + 1)...});
#endif
    }
    (std::make_integer_sequence<int, kVec<Real>>());
}

// The sums over the lanes of n <= kVec vectors, in order, in the first n lanes.
template <int n, class Real>
[[gnu::always_inline]] inline Vec<Real> lane_sums(const Vec<Real>* v) {
    static_assert(n <= kVec<Real>);
    Vec<Real> sums[n];
    for (int i = 0; i < n; ++i) sums[i] = v[i];
    int left = n;
#pragma GCC unroll 8
    for (int lanes = kVec<Real>; lanes > 1; lanes /= 2) {
#pragma GCC unroll 16
        for (int i = 0; 2 * i < left; ++i)
            sums[i] = add_neighbours<Real>(sums[2 * i], sums[std::min(2 * i + 1, left - 1)]);
        left = (left + 1) / 2;
    }
    return sums[0];
}

// to[j] = from[j], between storage type and Real.
template <class From, class To>
inline void copy_row(const From* from, To* to, Index c) {
    using Real = RealOf<From>;
    for_vecs<Real, false>(
        c, [&](Index j, auto size) { store<Real>(load<Real>(from + j, size), to + j, size); });
}

// Asks for the cache lines of c numbers, to read or to write them: the rows of one token lie in
// more places than the hardware follows. Always inline: GCC drops calls to functions that only
// prefetch.
template <class T>
[[gnu::always_inline]] inline void prefetch_read(const T* row, Index c) {
    for (Index j = 0; j < c; j += kLineBytes / static_cast<Index>(sizeof(T)))
        __builtin_prefetch(row + j, 0);
}
template <class T>
[[gnu::always_inline]] inline void prefetch_write(T* row, Index c) {
    for (Index j = 0; j < c; j += kLineBytes / static_cast<Index>(sizeof(T)))
        __builtin_prefetch(row + j, 1);
}

// As copy_row, past the caches: for what is read again only after many other rows. The stores are
// ordered before those of other threads by end_stream().
template <class From, class To>
inline void stream_row(const From* from, To* to, Index c) {
    using Real = RealOf<From>;
    if (c % kVec<Real> != 0 || !stream_aligned<Real>(to)) return copy_row(from, to, c);
    for (Index j = 0; j < c; j += kVec<Real>) stream(load<Real>(from + j, Full<Real>{}), to + j);
}

}  // namespace plumb
