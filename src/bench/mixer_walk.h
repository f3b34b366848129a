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

    MixerWalk(MixerPtr<T> mixer, const Context& ctx) : mixer_(std::move(mixer)), ctx_(ctx) {
        const MixerShape& s = mixer_->shape();
        const Shape rows{{'N', s.tokens}, {'C', s.channels}};
        Plan plan;
        mixer_->declare(plan, params_);
        std::vector<std::pair<TensorId, TensorId>> ids;
        for (int l = 1; l <= s.sublayers + 1; ++l)
            ids.emplace_back(
                plan.declare<T>(fmt::format("xhat.{}", l), rows, Lifetime::saved),
                plan.declare<Real>(fmt::format("rstd.{}", l), {{'N', s.tokens}}, Lifetime::saved));
        const TensorId x = plan.declare<T>("x", rows, Lifetime::scratch);
        const Shape partial{{'P', n_chunks(s.tokens)}, {'C', s.channels}};
        const TensorId dgain = plan.declare<Real>("dgain", partial, Lifetime::scratch);
        working_set = static_cast<double>(plan.total_bytes());
        params_.allocate(1);
        arena_ = std::make_unique<Arena>(std::move(plan));
        mixer_->bind(*arena_, params_);
        gain_.assign(static_cast<std::size_t>(s.channels), Real(1));
        for (const auto& [xhat, rstd] : ids)
            norms_.push_back({arena_->view<T>(xhat),
                              arena_->view<Real>(rstd),
                              {gain_.data(), {{'C', s.channels}}, Device::cpu},
                              arena_->view<T>(x),
                              Real(1e-10),
                              arena_->view<T>(x),
                              arena_->view<Real>(dgain)});
    }

    // One walk; the mixer's own seconds and bytes, forward and backward.
    void run(Profile& forward, Profile& backward) {
        ctx_.profile = &forward;
        fill(mixer_->slot(0));
        mixer_->begin(ctx_);
        for (std::size_t l = 1; l <= norms_.size(); ++l) {
            const int site = static_cast<int>(l);
            mixer_->read(ctx_, site, norms_[l - 1]);
            if (l == norms_.size()) break;
            fill(mixer_->slot(site));
            mixer_->write(ctx_, site);
        }
        ctx_.profile = &backward;
        for (std::size_t l = norms_.size(); l >= 1; --l) {
            if (l < norms_.size()) mixer_->write_backward(ctx_, static_cast<int>(l));
            fill(norms_[l - 1].x);  // dx
            mixer_->read_backward(ctx_, static_cast<int>(l), norms_[l - 1]);
        }
        mixer_->begin_backward(ctx_);
        ctx_.profile = nullptr;
    }
    double working_set = 0;  // bytes

private:
    void fill(View<T> v) const {
        for_tokens(ctx_, v.extent(0), [&](Index n) {
            for (Index i = 0; i < v.extent(1); ++i)
                v.row(n)[i] = static_cast<T>(static_cast<float>((n + 7 * i) % 31 - 15) / 16.0f);
        });
    }

    MixerPtr<T> mixer_;
    Context ctx_;
    ParamStore<Real> params_;
    std::unique_ptr<Arena> arena_;
    std::vector<Real> gain_;
    std::vector<PreNorm<T>> norms_;
};

}  // namespace plumb
