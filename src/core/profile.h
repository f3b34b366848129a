// Profile: where the time of a step goes, and how many bytes the mixer moved. A Context without one
// costs a branch per op.
#pragma once

#include "core/clock.h"
#include "core/view.h"

#include <array>

namespace plumb {

enum class Part : std::uint8_t {
    gemm,        // linear layers and the head
    attention,   // scores, softmax, values; RoPE
    mixer,       // read (with the pre-norm), write and their backward
    activation,  // of the MLP
    loss,        // cross-entropy
    embedding,
    optimizer,  // its step, gradient norm, casts of weights
    count
};
inline constexpr std::size_t kParts = static_cast<std::size_t>(Part::count);
const char* part_name(Part part);

struct Profile {
    std::array<double, kParts> seconds{};
    double mixer_bytes = 0;  // read and written by the mixer's passes, as they count themselves
    bool inside = false;     // of a Timed
};

// The time until its end belongs to `part`; an outer Timed wins, so that a matrix product inside
// the mixer is the mixer's.
class Timed {
public:
    Timed(Profile* profile, Part part) : part_(part) {
        if (!profile || profile->inside) return;
        profile_ = profile;
        profile_->inside = true;
        start_ = Clock::now();
    }
    ~Timed() {
        if (!profile_) return;
        profile_->inside = false;
        profile_->seconds[static_cast<std::size_t>(part_)] += seconds_since(start_);
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

private:
    Profile* profile_ = nullptr;
    Part part_;
    Clock::time_point start_;
};

}  // namespace plumb
