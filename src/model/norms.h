// The norm in front of every sublayer and the final one, as the walks of training and of decoding
// have them: the gain, and what a pass keeps, of each way in which a site reads.
#pragma once

#include "core/context.h"
#include "core/gpu.h"
#include "mixers/depth_mixer.h"
#include "model/weights.h"
#include "ops/pre_norm.h"
#include "ops/reduce.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace plumb {

template <class T>
class Norms {
public:
    using Real = RealOf<T>;
    // Of a site, for a pass: the first ways(l) are what a mixer reads into.
    using PreNorms = std::array<PreNorm<T>, kMostWays>;
    enum class For : std::uint8_t { training, decoding };

    // Of a pass over `rows` tokens.
    Norms(const ModelConfig& resolved, Index rows, For pass)
        : model_(resolved), shape_{{'N', rows}, {'C', resolved.width}}, pass_(pass) {}

    // Sites l = 1..L+1 in turn, where their parameters stand among those of sublayers.
    void declare_site(Plan& plan, ParamStore<Real>& params, const std::string& site, int ways) {
        std::vector<Norm>& of_site = sites_.emplace_back();
        const Shape per_token{{'N', shape_.extent(0)}};
        for (int way = 0; way < ways; ++way) {
            const std::string name = site + suffix(way), xhat = name + ".xhat",
                              rstd = name + ".rstd";
            const Param<Real> gain = declare_norm(params, site, model_, way);
            if (pass_ == For::training)
                of_site.push_back(
                    {gain, plan.saved<T>(xhat, shape_), plan.saved<Real>(rstd, per_token)});
            else
                of_site.push_back(
                    {gain, plan.scratch<T>(xhat, shape_), plan.scratch<Real>(rstd, per_token)});
        }
        most_ways_ = std::max(most_ways_, ways);
    }
    // After all sites: what only the site at work has.
    void declare_scratch(Plan& plan) {
        for (int way = 0; way < most_ways_; ++way) {
            const auto i = static_cast<std::size_t>(way);
            x_[i] = plan.scratch<T>("work.x" + suffix(way), shape_);
            if (pass_ == For::decoding) continue;
            // That of the head, one way, waits for backward (model/head.h).
            dx_[i] = way == 0 ? plan.saved<T>("work.dx", shape_)
                              : plan.scratch<T>("work.dx" + suffix(way), shape_);
            partial_[i] =
                plan.scratch<Real>("work.partial" + suffix(way),
                                   {{'P', partial_rows(plan.device())}, {'C', shape_.extent(1)}});
        }
    }

    int ways(int l) const { return static_cast<int>(site(l).size()); }
    Param<Real> gain(int l, int way = 0) const { return norm(l, way).gain; }
    View<T> x(const Context& ctx, int way) const { return ctx(x_[static_cast<std::size_t>(way)]); }
    View<T> dx(const Context& ctx, int way) const {
        return ctx(dx_[static_cast<std::size_t>(way)]);
    }
    PreNorms at(const Context& ctx, int l) const {
        PreNorms all;
        for (int way = 0; way < ways(l); ++way) {
            const Norm& n = norm(l, way);
            const auto i = static_cast<std::size_t>(way);
            all[i] = {.xhat = ctx(n.xhat),
                      .rstd = ctx(n.rstd),
                      .gain = ctx.value(n.gain),
                      .x = x(ctx, way),
                      .eps = static_cast<Real>(model_.norm_eps),
                      .dx = dx(ctx, way),
                      .dgain = ctx(partial_[i])};
        }
        return all;
    }
    // first (1) = the first site of the last pass where a token's square was infinite: its rstd is
    // 0. 0: none.
    void find_overflow(const Context& ctx, View<double> first) const {
        clear<double>(ctx, first);
        for (std::size_t k = 0; k < sites_.size(); ++k)
            for (const Norm& norm : sites_[k])
                note_overflow<Real>(ctx, ctx(norm.rstd), static_cast<int>(k) + 1, first);
    }

private:
    // Rows of sums over tokens: one a chunk, or one a block of a GPU's kernel.
    Index partial_rows(Device device) const {
        const Index n = shape_.extent(0);
        return device == Device::cpu ? n_chunks(n) : gpu::partial_rows(n);
    }
    struct Norm {
        Param<Real> gain;   // (C)
        Tensor<T> xhat;     // (N, C)
        Tensor<Real> rstd;  // (N)
    };
    static std::string suffix(int way) { return way == 0 ? "" : fmt::format(".{}", way_name(way)); }
    const std::vector<Norm>& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Norm& norm(int l, int way) const { return site(l)[static_cast<std::size_t>(way)]; }

    ModelConfig model_;
    Shape shape_;  // (N, C)
    For pass_;
    int most_ways_ = 0;
    std::vector<std::vector<Norm>> sites_;
    // Of each way: what a sublayer is given and its gradient (N, C), sums for the gain's (chunks,
    // C).
    std::array<Tensor<T>, kMostWays> x_, dx_;
    std::array<Tensor<Real>, kMostWays> partial_;
};

}  // namespace plumb
