// AveragesOnGpu: the passes of a stream that is replaced by mixes of its past (averages.h) on a
// GPU, one kernel a site and direction (averages.cuh). Weights are computed before the walk, by the
// rule's programs on numbers gathered from the flat array of parameters; their gradients go back
// the same way after it.
#pragma once

#include "core/dispatch.h"
#include "mixers/plain_tables.h"
#include "mixers/rule.h"
#include "ops/pre_norm.h"

namespace plumb {

namespace gpu {
template <class T>
struct AveragedRows;  // averages.cuh
}  // namespace gpu

template <class T>
class AveragesOnGpu {
public:
    using Real = RealOf<T>;

    // What average k = 0..K mixes: a program gives its weights from the numbers of `site`, those of
    // X_j for the j in `sources`, then its own. No sources: Y_k is X_k.
    struct Average {
        int site = 0;
        std::vector<int> sources;
        ScalarProgram program;
        bool mixes() const { return program.n_outputs() > 0; }
    };
    static bool carries(const std::vector<Average>& averages);

    // numbers: of site l = 1..L+1, the parameters.
    void declare(Plan& plan, const MixerShape& shape, std::vector<Average> averages,
                 const std::vector<std::vector<Param<Real>>>& numbers);
    void begin(const Context& ctx);
    // A site: what is read is Y_k (k < 0: no average ends here); x(j) is X_j, dy(k) is dY_k.
    struct Site {
        int k;
        bool first, last;
        View<T> v, dv;
        View<Real> h, dh;
        std::vector<T*> x, dy;
    };
    void read(const Context& ctx, const Site& site, const PreNorm<T>& norm) const;
    void read_backward(const Context& ctx, const Site& site, const PreNorm<T>& norm) const;
    void end_backward(const Context& ctx) const;
    // Averages that X_k enters, itself left out.
    const std::vector<int>& readers(int k) const { return readers_[static_cast<std::size_t>(k)]; }
    const Average& average(int k) const { return averages_[static_cast<std::size_t>(k)]; }

private:
    // Where things of average k begin among those of all: numbers, weights; sums for source k.
    struct Places {
        int number = 0, weight = 0, sum = 0, n_numbers = 0;
    };
    const Places& places(int k) const { return places_[static_cast<std::size_t>(k)]; }
    // Of X_j in average k, among the weights of all.
    int weight(int k, int j) const;
    int own(int k) const;
    void make_tables();
    gpu::AveragedRows<T> past(const Site& site) const;
    gpu::AveragedRows<T> readers_of(const Site& site) const;

    void begin(Cuda, const Context& ctx) const;
    void read(Cuda, const Context& ctx, const Site& site, const PreNorm<T>& norm) const;
    void read_backward(Cuda, const Context& ctx, const Site& site, const PreNorm<T>& norm) const;
    void end_backward(Cuda, const Context& ctx) const;

    Index tokens_ = 0;
    std::vector<Average> averages_;
    std::vector<std::vector<int>> readers_;
    std::vector<Places> places_;
    Param<Real> some_;                // any of the numbers: finds the flat array
    std::vector<Index> flat_, sums_;  // places of the numbers there; of the weights' sums
    int n_weights_ = 0;
    DeviceCopies copies_;
    std::vector<ScalarProgram::Tables> tables_;
    const Index *flat_places_ = nullptr, *sum_places_ = nullptr;
    Tensor<Real> p_, dp_;            // numbers of all averages
    Tensor<Real> w_, dw_, dw_sums_;  // weights; the last by source
    Tensor<Real> steps_, dsteps_;    // (most steps, 32)
    Tensor<Real> parts_;             // (P, most sums) of a source
};

}  // namespace plumb
