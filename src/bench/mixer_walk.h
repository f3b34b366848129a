// A depth mixer with a pre-norm at every site and nothing else, to time it alone: slots and
// gradients hold fixed numbers.
#pragma once

#include "core/gpu.h"
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

    // The mixer is for the device of ctx.
    MixerWalk(MixerPtr<T> mixer, const Context& ctx)
        : mixer_(std::move(mixer)), params_(ctx.device) {
        const MixerShape& s = mixer_->shape();
        const Shape rows{{'N', s.tokens}, {'C', s.channels}};
        Plan plan(ctx.device);
        mixer_->declare(plan, params_);
        std::vector<Norm> norms;  // of site l, way by way
        for (int l = 1; l <= s.sublayers() + 1; ++l)
            for (int way = 0; way < mixer_->ways(l); ++way)
                norms.push_back(
                    {l, way, plan.saved<T>(fmt::format("xhat.{}.{}", l, way), rows),
                     plan.saved<Real>(fmt::format("rstd.{}.{}", l, way), {{'N', s.tokens}})});
        std::vector<Tensor<T>> x;
        std::vector<Tensor<Real>> dgain;
        const Index parts =
            ctx.device == Device::cpu ? n_chunks(s.tokens) : gpu::partial_rows(s.tokens);
        for (int way = 0; way < mixer_->most_ways(); ++way) {
            x.push_back(plan.scratch<T>(fmt::format("x.{}", way), rows));
            dgain.push_back(plan.scratch<Real>(fmt::format("dgain.{}", way),
                                               {{'P', parts}, {'C', s.channels}}));
        }
        working_set = static_cast<double>(plan.total_bytes());
        const Param<Real> gain = params_.declare(
            {.name = "gain", .shape = {{'C', s.channels}}, .init = Init::constant(1)});
        params_.allocate(1);
        frame_ = std::make_unique<Frame>(std::move(plan), params_);
        ctx_ = ctx.in(*frame_);
        base_ = reinterpret_cast<const std::byte*>(ctx_(x.front()).data) - x.front().offset;
        norms_.resize(static_cast<std::size_t>(s.sublayers() + 1));
        for (const Norm& n : norms)
            norms_[static_cast<std::size_t>(n.l - 1)].push_back(
                {ctx_(n.xhat), ctx_(n.rstd), ctx_.value(gain),
                 ctx_(x[static_cast<std::size_t>(n.way)]), Real(1e-10),
                 ctx_(x[static_cast<std::size_t>(n.way)]),
                 ctx_(dgain[static_cast<std::size_t>(n.way)])});
        if (ctx.device == Device::cpu) return;
        for (int l = 0; l <= s.sublayers(); ++l) fill_once(mixer_->slot(ctx_, l));
        for (const Tensor<T>& way : x) fill_once(ctx_(way));
    }

    // One walk: around(backward, l, call) has each call of the mixer made, by call(profile), and
    // nothing else; l is that of the read it belongs to, forward or backward.
    template <class F>
    void run(F&& around) {
        const int last = static_cast<int>(norms_.size());
        const auto norms = [&](int l) {
            return std::span(norms_[static_cast<std::size_t>(l - 1)]);
        };
        const auto step = [&](bool backward, int l, auto&& f) {
            around(backward, l, [&](Profile* profile) {
                ctx_.profile = profile;
                f();
                ctx_.profile = nullptr;
            });
        };
        fill(mixer_->slot(ctx_, 0));
        step(false, 1, [&] { mixer_->begin(ctx_); });
        for (int l = 1; l <= last; ++l) {
            step(false, l, [&] { mixer_->read(ctx_, l, norms(l)); });
            if (l == last) break;
            fill(mixer_->slot(ctx_, l));
            step(false, l + 1, [&] { mixer_->write(ctx_, l); });
        }
        for (int l = last; l >= 1; --l) {
            if (l < last) step(true, l + 1, [&] { mixer_->write_backward(ctx_, l); });
            for (const PreNorm<T>& norm : norms(l)) fill(norm.x);  // dx
            step(true, l, [&] { mixer_->read_backward(ctx_, l, norms(l)); });
        }
        step(true, 1, [&] { mixer_->begin_backward(ctx_); });
    }
    // The mixer's own seconds and bytes, forward and backward.
    void run(Profile& forward, Profile& backward) {
        run([&](bool back, int, auto&& call) { call(back ? &backward : &forward); });
    }

    double working_set = 0;  // bytes
    const DepthMixer<T>& mixer() const { return *mixer_; }
    const Plan& plan() const { return frame_->plan(); }
    // Of a tensor of the plan.
    const std::byte* address(const TensorSpec& tensor) const { return base_ + tensor.offset; }

private:
    struct Norm {
        int l, way;
        Tensor<T> xhat;
        Tensor<Real> rstd;
    };
    static T number(Index n, Index i) {
        return static_cast<T>(static_cast<float>((n + 7 * i) % 31 - 15) / 16.0f);
    }
    // As whoever comes before a pass leaves it: on the CPU in its caches.
    void fill(View<T> v) const {
        if (v.device != Device::cpu) return;
        for_tokens(ctx_, v.extent(0), [&](Index n) {
            for (Index i = 0; i < v.extent(1); ++i) v.row(n)[i] = number(n, i);
        });
    }
    void fill_once(View<T> v) const {
        std::vector<T> x;
        for (Index k = 0; k < v.count(); ++k) x.push_back(number(k / v.extent(1), k % v.extent(1)));
        put(v, x.data());
    }

    MixerPtr<T> mixer_;
    Context ctx_;
    ParamStore<Real> params_;
    std::unique_ptr<Frame> frame_;
    const std::byte* base_ = nullptr;
    std::vector<std::vector<PreNorm<T>>> norms_;  // of site l, way by way
};

}  // namespace plumb
