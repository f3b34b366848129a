// FlushToZero: while it lives, the calling thread takes numbers too small to be normal for zero, as
// operands and as results. Such numbers cost a factor of 15 in time; outside of computing they are
// numbers like any other (a setting of 1e-310 is not 0). No effect on other than x86 processors.
#pragma once

namespace plumb {

class FlushToZero {
public:
    FlushToZero();
    ~FlushToZero();
    FlushToZero(const FlushToZero&) = delete;
    FlushToZero& operator=(const FlushToZero&) = delete;

private:
    unsigned before_ = 0;  // the two bits of the control register
};

// For good: of a thread that does nothing but compute.
void flush_to_zero_from_now_on();

}  // namespace plumb
