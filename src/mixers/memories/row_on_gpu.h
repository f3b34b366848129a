// RowOnGpu: the passes of a running row (running_row.h) on a GPU, one kernel a site and direction
// (running_row.cuh). Weights a = A(u, w, p) come from the rule's programs (scalar_program.h):
//
//     of the token   inside those kernels, as soon as the dots are there; backward too
//     of the site    before the walk, those of all sites: each group of channels is one of many to
//                    which the same program is applied (scalar_program.cuh, a thread a group), on
//                    numbers of its own. Backward after the walk, from sums over tokens of dA
//
// Numbers p are gathered from the flat array of parameters before the walk, and their gradients
// added there after it.
#pragma once

#include "core/dispatch.h"
#include "mixers/memories/row_uses.h"
#include "mixers/plain_tables.h"
#include "mixers/site_params.h"
#include "ops/pre_norm.h"

namespace plumb {

namespace gpu {
template <class Real>
struct TokenSite;  // running_row.cuh
}  // namespace gpu

// Which of a token's dots is which, -1: not asked for.
struct RowDotPlaces {
    static constexpr int kMostSteps = 64;  // of a program inside a kernel

    int hh = -1, hq = -1, w_hh = -1, w_hv = -1, w_vv = -1;
    int n_u = 0, n_dots = 0;

    explicit RowDotPlaces(const RowUses& uses);
};

template <class T>
class RowOnGpu {
public:
    using Real = RealOf<T>;

    RowOnGpu(const Rule& rule, const RowUses& uses);
    // Whether these passes carry the rule.
    static bool carries(const Rule& rule);

    // scalars (L, N, n_dots + 2), du (N, n_u) where a is the token's.
    void declare(Plan& plan, Index tokens, const std::vector<SiteParams<Real>>& sites,
                 Tensor<Real> scalars, Tensor<Real> du);
    void begin(const Context& ctx);
    void read(const Context& ctx, int l, View<const T> v, View<Real> h,
              const PreNorm<T>& norm) const;
    // v: empty where nothing learns.
    void read_backward(const Context& ctx, int l, View<const T> v, View<Real> dh, View<T> dv,
                       const PreNorm<T>& norm) const;
    void end_backward(const Context& ctx) const;

private:
    bool of_token() const { return dots_.n_dots > 0; }
    bool learns() const { return of_token() || n_numbers_ > 0; }
    int sublayers() const { return static_cast<int>(programs_.size()); }
    // Of site l.
    Real* numbers(const Context& ctx, int l, const Tensor<Real>& all) const {
        return ctx(all).data + (l - 1) * n_numbers_;
    }
    Real* weights(const Context& ctx, int l, const Tensor<Real>& all) const {
        return ctx(all).data + (l - 1) * 2 * groups_;
    }
    const ScalarProgram::Tables& tables(int l) const {
        return tables_[static_cast<std::size_t>(l - 1)];
    }
    Real* query(const Context& ctx, int l, bool gradient = false) const {
        return sites_[static_cast<std::size_t>(l - 1)].vector(ctx, 0, channels_, gradient);
    }
    void make_tables();
    gpu::TokenSite<Real> token_site(const Context& ctx, int l) const;
    void add_sums(const Context& ctx, int l) const;

    void begin(Cuda, const Context& ctx) const;
    void read(Cuda, const Context& ctx, int l, View<const T> v, View<Real> h,
              const PreNorm<T>& norm) const;
    void read_backward(Cuda, const Context& ctx, int l, View<const T> v, View<Real> dh, View<T> dv,
                       const PreNorm<T>& norm) const;
    void end_backward(Cuda, const Context& ctx) const;

    RowDotPlaces dots_;
    Index n_numbers_, groups_, channels_, tokens_ = 0;
    bool unit_;
    std::vector<ScalarProgram> programs_;  // l = 1..L: of a token, or of a group
    std::vector<SiteParams<Real>> sites_;
    DeviceCopies copies_;
    std::vector<ScalarProgram::Tables> tables_;
    const Index* places_ = nullptr;         // (L, n_numbers) in the flat array
    Tensor<Real> scalars_, du_;             // those of declare
    Tensor<Real> p_, dp_;                   // (L, n_numbers)
    Tensor<Real> a_, da_;                   // (L, 2, G) where a is the site's
    Tensor<Real> steps_, dsteps_;           // (most steps, groups in whole warps)
    Tensor<Real> dq_parts_, number_parts_;  // (P, C), (P, numbers) or (2, P, C): sums of blocks
};

}  // namespace plumb
