#include "core/flush_to_zero.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace plumb {

#if defined(__SSE2__)

namespace {

constexpr unsigned kBits = 0x8040;  // flush results to zero, take operands for zero

void set_bits(unsigned bits) { _mm_setcsr((_mm_getcsr() & ~kBits) | bits); }

}  // namespace

FlushToZero::FlushToZero() : before_(_mm_getcsr() & kBits) { set_bits(kBits); }
FlushToZero::~FlushToZero() { set_bits(before_); }
void flush_to_zero_from_now_on() { set_bits(kBits); }

#else

FlushToZero::FlushToZero() = default;
FlushToZero::~FlushToZero() = default;
void flush_to_zero_from_now_on() {}

#endif

}  // namespace plumb
