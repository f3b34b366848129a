// Bf16Stack: ToyStack's closed network with activations of any storage type and, if wanted, with
// the pre-norm that a transformer puts in front of each sublayer.
//
//     v_l[n,c] = tanh(a_l[c] x_l[n,c] + b_l[c] x_l[n,c+1])       a_l, b_l fixed, channels cyclic
//     x_l = RMSNorm(h_l) gain_l, or h_l itself (raw)
//     loss = sum_{n,c} g[n,c] x_{L+1}[n,c] + x_{L+1}[n,c]^2 / 2   g fixed
//
// The gains are parameters beside the mixer's own ("gain.1", ...). The same seed gives the same
// network for every T; v_0 is a bf16 number in all of them. Scratch memory is NaN before every
// forward.
#pragma once

#include "check/toy_stack.h"
#include "core/flush_to_zero.h"
#include "core/rng.h"

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
        for (int l = 1; l <= shape_.sublayers + 1; ++l) {
            sites_.emplace_back();
            Site& site = sites_.back();
            const std::string name = "gain." + std::to_string(l);
            site.gain =
                params_.declare({.name = name, .shape = {{'C', c}}, .init = Init::constant(1.0)});
            site.xhat.resize(count(n * c)), site.x.resize(count(n * c)), site.rstd.resize(count(n));
            fill(site.a, c, 0.5, seed, name + "/a"), fill(site.b, c, 0.5, seed, name + "/b");
        }
        params_.allocate(seed);
        perturb(params_, 0.3, seed + 1);
        frame_.emplace(std::move(plan), params_);
        fill(target_, n * c, 1.0, seed, "target");
        fill_input(seed);
        dx_.resize(count(n * c)), dinput_.resize(count(n * c));
        dgain_.resize(count(n_chunks(n) * c));
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
        for (int l = 1; l <= shape_.sublayers; ++l) {
            read_from_mixer(ctx, l);
            T* v = mixer_->slot(ctx, l).data;
            for (Index i = 0; i < std::ssize(input_); ++i) v[i] = output(l, i);
            mixer_->write(ctx, l);
        }
        read_from_mixer(ctx, shape_.sublayers + 1);
        double loss = 0;
        for (const double term : loss_terms()) loss += term;
        return loss;
    }

    // What the last forward's loss is the sum of, (N, C). The sum may all but cancel.
    std::vector<double> loss_terms() const {
        std::vector<double> terms;
        for (std::size_t i = 0; i < target_.size(); ++i) {
            const double x = static_cast<double>(sites_.back().x[i]);
            terms.push_back(x * (static_cast<double>(target_[i]) + 0.5 * x));
        }
        return terms;
    }

    // Adds to params().grads(), overwrites dinput(). Once per forward.
    void backward(const Context& context) {
        const FlushToZero flush;
        const Context ctx = context.in(*frame_);
        const Site& last = sites_.back();
        for (std::size_t i = 0; i < dx_.size(); ++i) dx_[i] = target_[i] + last.x[i];
        read_backward(ctx, shape_.sublayers + 1);
        const Index c = shape_.channels;
        for (int l = shape_.sublayers; l >= 1; --l) {
            const T* dv = mixer_->write_backward(ctx, l).data;
            const Site& site = this->site(l);
            const auto dz = [&](Index i) {
                const Real v = output(l, i);
                return dv[i] * (Real(1) - v * v);
            };
            for (Index i = 0; i < std::ssize(dx_); ++i) {
                const Index k = i % c, before = i - k + (k + c - 1) % c;
                dx_[count(i)] = site.a[count(k)] * dz(i) + site.b[count(before % c)] * dz(before);
            }
            read_backward(ctx, l);
        }
        std::copy_n(mixer_->begin_backward(ctx).data, dinput_.size(), dinput_.data());
    }

    std::vector<Real>& input() { return input_; }  // v_0 (N, C)
    const std::vector<T>& dinput() const { return dinput_; }
    const std::vector<T>& read(int l) { return site(l).x; }  // x_l (N, C)
    DepthMixer<T>& mixer() { return *mixer_; }
    ParamStore<Real>& params() { return params_; }

private:
    struct Site {
        ParamId gain;
        std::vector<T> xhat, x;  // (N, C)
        std::vector<Real> rstd;  // (N)
        std::vector<Real> a, b;  // (C) of F_l
    };
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
        const Site& site = this->site(l);
        const Index c = shape_.channels, k = i % c;
        const Real z = site.a[count(k)] * site.x[count(i)] +
                       site.b[count(k)] * site.x[count(i - k + (k + 1) % c)];
        return std::tanh(z);
    }
    PreNorm<T> norm(int l) {
        Site& site = this->site(l);
        PreNorm<T> norm;
        norm.xhat = view(site.xhat);
        norm.dx = view(dx_);
        if (!normed_) return norm;
        norm.x = view(site.x);
        norm.rstd = {site.rstd.data(), {{'N', shape_.tokens}}, Device::cpu};
        norm.gain = params_.value(site.gain);
        norm.eps = static_cast<Real>(shape_.norm_eps);
        norm.dgain = {
            dgain_.data(), {{'P', n_chunks(shape_.tokens)}, {'C', shape_.channels}}, Device::cpu};
        return norm;
    }
    void read_from_mixer(const Context& ctx, int l) {
        mixer_->read(ctx, l, norm(l));
        if (!normed_) site(l).x = site(l).xhat;  // the mixer's to overwrite
    }
    void read_backward(const Context& ctx, int l) {
        mixer_->read_backward(ctx, l, norm(l));
        if (normed_)
            add_partials<Real>(norm(l).dgain, n_chunks(shape_.tokens), params_.grad(site(l).gain));
    }

    MixerPtr<T> mixer_;
    bool normed_;
    MixerShape shape_;
    ParamStore<Real> params_;
    std::optional<Frame> frame_;
    std::vector<Site> sites_;  // l = 1..L+1
    std::vector<Real> input_, target_;
    std::vector<T> dx_, dinput_;
    std::vector<Real> dgain_;
};

}  // namespace plumb::test
