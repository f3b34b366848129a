// A depth mixer with a pre-norm at every site and nothing else, to time it alone: slots and
// gradients hold fixed numbers.
#pragma once

#include "core/parallel.h"
#include "mixers/mixers.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

template <class T>
class MixerWalk {
public:
    using Real = RealOf<T>;

    MixerWalk(MixerPtr<T> mixer, const Context& ctx) : mixer_(std::move(mixer)) {
        const MixerShape& s = mixer_->shape();
        const Shape rows{{'N', s.tokens}, {'C', s.channels}};
        Plan plan;
        mixer_->declare(plan, params_);
        std::vector<Norm> norms;  // of site l, way by way
        for (int l = 1; l <= s.sublayers() + 1; ++l)
            for (int way = 0; way < mixer_->ways(l); ++way)
                norms.push_back(
                    {l, way, plan.saved<T>(fmt::format("xhat.{}.{}", l, way), rows),
                     plan.saved<Real>(fmt::format("rstd.{}.{}", l, way), {{'N', s.tokens}})});
        std::vector<Tensor<T>> x;
        std::vector<Tensor<Real>> dgain;
        for (int way = 0; way < mixer_->most_ways(); ++way) {
            x.push_back(plan.scratch<T>(fmt::format("x.{}", way), rows));
            dgain.push_back(plan.scratch<Real>(fmt::format("dgain.{}", way),
                                               {{'P', n_chunks(s.tokens)}, {'C', s.channels}}));
        }
        working_set = static_cast<double>(plan.total_bytes());
        params_.allocate(1);
        frame_ = std::make_unique<Frame>(std::move(plan), params_);
        ctx_ = ctx.in(*frame_);
        gain_.assign(static_cast<std::size_t>(s.channels), Real(1));
        norms_.resize(static_cast<std::size_t>(s.sublayers() + 1));
        for (const Norm& n : norms)
            norms_[static_cast<std::size_t>(n.l - 1)].push_back(
                {ctx_(n.xhat),
                 ctx_(n.rstd),
                 {gain_.data(), {{'C', s.channels}}, Device::cpu},
                 ctx_(x[static_cast<std::size_t>(n.way)]),
                 Real(1e-10),
                 ctx_(x[static_cast<std::size_t>(n.way)]),
                 ctx_(dgain[static_cast<std::size_t>(n.way)])});
    }

    // One walk; the mixer's own seconds and bytes, forward and backward.
    void run(Profile& forward, Profile& backward) {
        ctx_.profile = &forward;
        fill(mixer_->slot(ctx_, 0));
        mixer_->begin(ctx_);
        for (std::size_t l = 1; l <= norms_.size(); ++l) {
            const int site = static_cast<int>(l);
            mixer_->read(ctx_, site, norms_[l - 1]);
            if (l == norms_.size()) break;
            fill(mixer_->slot(ctx_, site));
            mixer_->write(ctx_, site);
        }
        ctx_.profile = &backward;
        for (std::size_t l = norms_.size(); l >= 1; --l) {
            if (l < norms_.size()) mixer_->write_backward(ctx_, static_cast<int>(l));
            for (const PreNorm<T>& norm : norms_[l - 1]) fill(norm.x);  // dx
            mixer_->read_backward(ctx_, static_cast<int>(l), norms_[l - 1]);
        }
        mixer_->begin_backward(ctx_);
        ctx_.profile = nullptr;
    }
    double working_set = 0;  // bytes

private:
    struct Norm {
        int l, way;
        Tensor<T> xhat;
        Tensor<Real> rstd;
    };
    void fill(View<T> v) const {
        for_tokens(ctx_, v.extent(0), [&](Index n) {
            for (Index i = 0; i < v.extent(1); ++i)
                v.row(n)[i] = static_cast<T>(static_cast<float>((n + 7 * i) % 31 - 15) / 16.0f);
        });
    }

    MixerPtr<T> mixer_;
    Context ctx_;
    ParamStore<Real> params_;
    std::unique_ptr<Frame> frame_;
    std::vector<Real> gain_;
    std::vector<std::vector<PreNorm<T>>> norms_;  // of site l, way by way
};

}  // namespace plumb
