#include "gpu/kernel_checks.h"
#include "mixers/memories/sinkhorn.cuh"

#include <random>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// Token by token <-> entry by entry.
std::vector<double> lanes(const std::vector<double>& x, std::size_t entries, bool back) {
    const std::size_t n = x.size() / entries;
    std::vector<double> out(x.size());
    for (std::size_t t = 0; t < n; ++t)
        for (std::size_t e = 0; e < entries; ++e)
            back ? out[t * entries + e] = x[e * n + t] : out[e * n + t] = x[t * entries + e];
    return out;
}

template <class Real, int K>
void check_size(Report& report, long n, int iters, double spread) {
    constexpr std::size_t entries = K * K;
    std::mt19937_64 random(17);
    std::normal_distribution<double> normal;
    std::vector<double> z(entries * static_cast<std::size_t>(n)), dp(z.size());
    for (double& x : z) x = static_cast<float>(spread * normal(random));
    for (double& x : dp) x = static_cast<float>(normal(random));
    const SinkhornReference want = sinkhorn_reference(z, dp, K, iters);
    Buffer<Real> logits(lanes(z, entries, false)), dout(lanes(dp, entries, false)), p(z.size()),
        dlogits(z.size());
    const auto blocks = static_cast<unsigned>((n + 63) / 64);
    launch(stream(), "sinkhorn", sinkhorn<Real, K>, Grid{blocks, 64}, n, iters, logits.at(),
           p.at());
    launch(stream(), "sinkhorn_backward", sinkhorn_backward<Real, K>,
           Grid{blocks, 64, sinkhorn_backward_shared<Real, K>(64, iters)}, n, iters, logits.at(),
           dout.at(), dlogits.at());
    const std::string name = std::string("sinkhorn ") + TypeName<Real>::name +
                             " N=" + std::to_string(n) + " K=" + std::to_string(K) +
                             " iters=" + std::to_string(iters);
    // Backward subtracts what is almost the same: errors of the forward grow.
    report.add(
        Check{name, relative_error(lanes(p.get(), entries, true), want.p), TypeName<Real>::bound});
    report.add(Check{name + " backward",
                     relative_error(lanes(dlogits.get(), entries, true), want.dlogits),
                     10 * TypeName<Real>::bound});
}

}  // namespace

void check_sinkhorn(Report& report) {
    for (const long n : {1L, 63L, 1000L}) {
        check_size<double, 4>(report, n, 20, 1);
        check_size<float, 4>(report, n, 20, 1);
    }
    check_size<double, 4>(report, 65, 1, 3);
    check_size<float, 4>(report, 65, 20, 5);
    check_size<double, 2>(report, 65, 20, 3);
    check_size<double, 3>(report, 65, 5, 3);
}

}  // namespace plumb::test
