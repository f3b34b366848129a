// What `plumb check` measures, mixer by mixer: each line is a number, the limit it must not exceed,
// and what it is a number of.
#pragma once

#include "mixers/mixers.h"

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace plumb {

struct CheckLine {
    enum class Status : std::uint8_t { pass, fail, skipped };

    std::string mixer;
    std::string setting;  // "gate=vector"; "default" without settings; file name for fixtures
    std::string name;     // "gradients"
    double value = std::numeric_limits<double>::quiet_NaN();
    double limit = 0;
    Status status = Status::fail;
    std::string note;  // why it failed or was skipped, or where the worst value is
};

// pass if value <= limit; a NaN fails.
inline CheckLine::Status judge(double value, double limit) {
    return value <= limit ? CheckLine::Status::pass : CheckLine::Status::fail;
}

struct CheckOptions {
    std::filesystem::path fixtures;  // of PyTorch; empty: those lines are skipped
    Device device = Device::cpu;     // where what is checked computes
    std::function<void(const std::string&)> progress = [](const std::string&) {};
};

// Every check of one mixer with each of its test settings. A check that throws is a failed line. On
// the CPU a mixer is also checked alone; on another device in a model, and against the CPU.
std::vector<CheckLine> self_check(const MixerInfo& mixer, const CheckOptions& options);

// Worst marginal error of Sinkhorn(iters) over 1000 random (k, k) logit matrices of standard
// deviation `logit_std`: of the column sums, which the last pass makes 1, and of the row sums,
// which are 1 only as far as the iterations converged.
struct MarginalErrors {
    double columns, rows;
};
MarginalErrors sinkhorn_marginals(int k, int iters, double logit_std);

}  // namespace plumb
