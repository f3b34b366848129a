// Bf16Stack: ToyStack's closed network with activations of any storage type and, if wanted, with
// the pre-norm that a transformer puts in front of each sublayer.
//
//     v_l[n,c] = tanh(a_l[c] x_l[n,c] + b_l[c] x_l[n,c+1])       a_l, b_l fixed, channels cyclic
//     x_l = RMSNorm(h_l) gain_l, or h_l itself (raw)
//     loss = sum_{n,c} g[n,c] x_{L+1}[n,c] + x_{L+1}[n,c]^2 / 2   g fixed
//
// Where sublayer l reads in several ways, tanh is of the sum over them, each with its own a, b,
// gain. The gains are parameters beside the mixer's own ("gain.1", ...). The same seed gives the
// same network for every T; v_0 is a bf16 number in all of them. Scratch memory is NaN before every
// forward.
#pragma once

#include "check/toy_stack.h"
#include "core/flush_to_zero.h"
#include "core/rng.h"
#include "ops/reduce.h"

#include <string>
#include <vector>

namespace plumb::test {

template <class T>
class Bf16Stack {
public:
    using Real = RealOf<T>;

    Bf16Stack(MixerPtr<T> mixer, bool normed, std::uint64_t seed = 1)
        : mixer_(std::move(mixer)), normed_(normed), shape_(mixer_->shape()) {
        Plan plan;
        mixer_->declare(plan, params_);
        const Index c = shape_.channels, n = shape_.tokens;
        for (int l = 1; l <= shape_.sublayers() + 1; ++l) {
            sites_.emplace_back();
            for (int way = 0; way < mixer_->ways(l); ++way) {
                Way& w = sites_.back().emplace_back();
                std::string name = "gain." + std::to_string(l);
                if (way > 0) name += "." + std::to_string(way);
                w.gain = params_.declare(
                    {.name = name, .shape = {{'C', c}}, .init = Init::constant(1.0)});
                w.xhat.resize(count(n * c)), w.x.resize(count(n * c)), w.rstd.resize(count(n));
                w.dx.resize(count(n * c)), w.dgain.resize(count(n_chunks(n) * c));
                fill(w.a, c, 0.5, seed, name + "/a"), fill(w.b, c, 0.5, seed, name + "/b");
            }
        }
        params_.allocate(seed);
        perturb(params_, 0.3, seed + 1);
        frame_.emplace(std::move(plan), params_);
        fill(target_, n * c, 1.0, seed, "target");
        fill_input(seed);
        dinput_.resize(count(n * c));
    }

    void fill_input(std::uint64_t seed) {
        std::vector<float> x;
        fill(x, shape_.tokens * shape_.channels, 1.0, seed, "input");
        input_.resize(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) input_[i] = static_cast<float>(Bf16(x[i]));
    }

    double forward(const Context& context) {
        const FlushToZero flush;  // as a model does
        const Context ctx = context.in(*frame_);
        frame_->poison();
        const std::size_t nc = input_.size();
        std::copy_n(input_.data(), nc, mixer_->slot(ctx, 0).data);
        mixer_->begin(ctx);
        for (int l = 1; l <= shape_.sublayers(); ++l) {
            read_from_mixer(ctx, l);
            T* v = mixer_->slot(ctx, l).data;
            for (Index i = 0; i < std::ssize(input_); ++i) v[i] = output(l, i);
            mixer_->write(ctx, l);
        }
        read_from_mixer(ctx, shape_.sublayers() + 1);
        double loss = 0;
        for (const double term : loss_terms()) loss += term;
        return loss;
    }

    // What the last forward's loss is the sum of, (N, C). The sum may all but cancel.
    std::vector<double> loss_terms() const {
        std::vector<double> terms;
        for (std::size_t i = 0; i < target_.size(); ++i) {
            const double x = static_cast<double>(sites_.back().front().x[i]);
            terms.push_back(x * (static_cast<double>(target_[i]) + 0.5 * x));
        }
        return terms;
    }

    // Adds to params().grads(), overwrites dinput(). Once per forward.
    void backward(const Context& context) {
        const FlushToZero flush;
        const Context ctx = context.in(*frame_);
        Way& last = sites_.back().front();
        for (std::size_t i = 0; i < last.x.size(); ++i) last.dx[i] = target_[i] + last.x[i];
        read_backward(ctx, shape_.sublayers() + 1);
        const Index c = shape_.channels;
        for (int l = shape_.sublayers(); l >= 1; --l) {
            const T* dv = mixer_->write_backward(ctx, l).data;
            const auto dz = [&](Index i) {
                const Real v = output(l, i);
                return dv[i] * (Real(1) - v * v);
            };
            for (Way& w : site(l))
                for (Index i = 0; i < std::ssize(w.dx); ++i) {
                    const Index k = i % c, before = i - k + (k + c - 1) % c;
                    w.dx[count(i)] = w.a[count(k)] * dz(i) + w.b[count(before % c)] * dz(before);
                }
            read_backward(ctx, l);
        }
        std::copy_n(mixer_->begin_backward(ctx).data, dinput_.size(), dinput_.data());
    }

    std::vector<Real>& input() { return input_; }  // v_0 (N, C)
    const std::vector<T>& dinput() const { return dinput_; }
    const std::vector<T>& read(int l, std::size_t way = 0) { return site(l)[way].x; }  // x_l (N, C)
    DepthMixer<T>& mixer() { return *mixer_; }
    ParamStore<Real>& params() { return params_; }

private:
    struct Way {
        ParamId gain;
        std::vector<T> xhat, x, dx;     // (N, C)
        std::vector<Real> rstd, dgain;  // (N), (chunks, C)
        std::vector<Real> a, b;         // (C) of F_l
    };
    using Site = std::vector<Way>;
    static std::size_t count(Index i) { return static_cast<std::size_t>(i); }
    Site& site(int l) { return sites_[count(l - 1)]; }
    template <class X>
    static void fill(std::vector<X>& x, Index n, double size, std::uint64_t seed,
                     const std::string& name) {
        const CounterRng rng(seed, "bf16_stack/" + name);
        for (Index i = 0; i < n; ++i)
            x.push_back(static_cast<X>(size * rng.normal(static_cast<std::uint64_t>(i))));
    }
    template <class X>
    View<X> view(std::vector<X>& x) const {
        return {x.data(), {{'N', shape_.tokens}, {'C', shape_.channels}}, Device::cpu};
    }

    // v_l of number i.
    Real output(int l, Index i) {
        const Index c = shape_.channels, k = i % c;
        Real z = 0;
        for (const Way& w : site(l))
            z += w.a[count(k)] * w.x[count(i)] + w.b[count(k)] * w.x[count(i - k + (k + 1) % c)];
        return std::tanh(z);
    }
    std::vector<PreNorm<T>> norms(int l) {
        std::vector<PreNorm<T>> all;
        for (Way& w : site(l)) {
            PreNorm<T>& norm = all.emplace_back();
            norm.xhat = view(w.xhat);
            norm.dx = view(w.dx);
            if (!normed_) continue;
            norm.x = view(w.x);
            norm.rstd = {w.rstd.data(), {{'N', shape_.tokens}}, Device::cpu};
            norm.gain = params_.value(w.gain);
            norm.eps = static_cast<Real>(shape_.norm_eps);
            norm.dgain = {w.dgain.data(),
                          {{'P', n_chunks(shape_.tokens)}, {'C', shape_.channels}},
                          Device::cpu};
        }
        return all;
    }
    void read_from_mixer(const Context& ctx, int l) {
        mixer_->read(ctx, l, norms(l));
        if (normed_) return;
        for (Way& w : site(l)) w.x = w.xhat;  // the mixer's to overwrite
    }
    void read_backward(const Context& ctx, int l) {
        const std::vector<PreNorm<T>> all = norms(l);
        mixer_->read_backward(ctx, l, all);
        for (std::size_t way = 0; normed_ && way < all.size(); ++way)
            add_partials<Real>(ctx, all[way].dgain, params_.grad(site(l)[way].gain));
    }

    MixerPtr<T> mixer_;
    bool normed_;
    MixerShape shape_;
    ParamStore<Real> params_;
    std::optional<Frame> frame_;
    std::vector<Site> sites_;  // l = 1..L+1
    std::vector<Real> input_, target_;
    std::vector<T> dinput_;
};

}  // namespace plumb::test
