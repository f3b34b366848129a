// DeviceStack: the closed network of Bf16Stack (support/bf16_stack.h) with its memory on a device:
// sublayers and loss are computed on the host, of copies. The same seed gives the same network in
// every storage type and on every device. It keeps what a pass makes.
#pragma once

#include "catch.h"
#include "check/toy_stack.h"
#include "core/flush_to_zero.h"
#include "core/gpu.h"
#include "core/rng.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace plumb::test {

// What a pass makes, of one tensor.
struct Made {
    enum class Kind : std::uint8_t { forward, input, parameter } kind;
    std::string name;
    std::vector<double> values;
};

template <class T>
class DeviceStack {
public:
    using Real = RealOf<T>;

    DeviceStack(MixerPtr<T> mixer, Device device, bool normed, std::uint64_t seed = 1)
        : mixer_(std::move(mixer)),
          ctx_{.device = device},
          normed_(normed),
          shape_(mixer_->shape()),
          params_(device) {
        Plan plan(device);
        mixer_->declare(plan, params_);
        for (int l = 1; l <= shape_.sublayers() + 1; ++l) {
            sites_.emplace_back();
            for (int way = 0; way < mixer_->ways(l); ++way) add_way(l, way, seed);
        }
        params_.allocate(seed);
        perturb(params_, 0.3, seed + 1);
        frame_.emplace(std::move(plan), params_);
        ctx_.frame = &*frame_;
        target_ = normal(n() * c(), 1.0, seed, "target");
        input_ = stored(normal(n() * c(), 1.0, seed, "input"));
        stream_ = DeviceArray<Real>(n() * mixer_->stream_width(), device);
    }

    // A forward and a backward pass.
    std::vector<Made> pass() {
        const FlushToZero flush;  // as a model does
        made_.clear();
        frame_->poison();
        params_.zero_grad();
        forward();
        backward();
        for (std::size_t k = 0; k < params_.specs().size(); ++k) {
            const std::vector<Real> g = fetch<Real>(params_.grad({static_cast<Index>(k)}));
            keep(Made::Kind::parameter, params_.specs()[k].name, g);
        }
        return made_;
    }
    ParamStore<Real>& params() { return params_; }

private:
    struct Way {
        ParamId gain;
        DeviceArray<T> xhat, x, dx;     // (N, C)
        DeviceArray<Real> rstd, dgain;  // (N), (parts, C)
        std::vector<Real> a, b;         // (C) of F_l
        std::vector<Real> seen;         // (N, C): x, or h where there is no norm
    };
    using Site = std::vector<Way>;

    Index n() const { return shape_.tokens; }
    Index c() const { return shape_.channels; }
    Index parts() const {
        return ctx_.device == Device::cpu ? n_chunks(n()) : gpu::partial_rows(n());
    }
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }

    static std::vector<Real> normal(Index n, double size, std::uint64_t seed,
                                    const std::string& name) {
        const CounterRng rng(seed, "device_stack/" + name);
        std::vector<Real> x;
        for (Index i = 0; i < n; ++i)
            x.push_back(static_cast<Real>(size * rng.normal(static_cast<std::uint64_t>(i))));
        return x;
    }
    // Numbers that bf16 has: the same in all storage types.
    static std::vector<T> stored(const std::vector<Real>& x) {
        std::vector<T> all;
        for (const Real i : x) all.push_back(static_cast<T>(static_cast<float>(Bf16(float(i)))));
        return all;
    }
    void add_way(int l, int way, std::uint64_t seed) {
        std::string name = "gain." + std::to_string(l);
        if (way > 0) name += "." + std::to_string(way);
        const Device device = ctx_.device;
        Way& w = sites_.back().emplace_back();
        w.gain =
            params_.declare({.name = name, .shape = {{'C', c()}}, .init = Init::constant(1.0)});
        for (DeviceArray<T>* x : {&w.xhat, &w.x, &w.dx}) *x = DeviceArray<T>(n() * c(), device);
        w.rstd = DeviceArray<Real>(n(), device);
        w.dgain = DeviceArray<Real>(parts() * c(), device);
        w.a = normal(c(), 0.5, seed, name + "/a"), w.b = normal(c(), 0.5, seed, name + "/b");
    }

    template <class X>
    void keep(Made::Kind kind, const std::string& name, const std::vector<X>& x) {
        Made& made = made_.emplace_back(Made{kind, name, {}});
        for (const X i : x) made.values.push_back(static_cast<double>(static_cast<RealOf<X>>(i)));
    }
    std::vector<PreNorm<T>> norms(int l) {
        const Shape rows{{'N', n()}, {'C', c()}};
        std::vector<PreNorm<T>> all;
        for (Way& w : site(l)) {
            PreNorm<T>& norm = all.emplace_back();
            norm.xhat = w.xhat.view(0, rows);
            norm.dx = w.dx.view(0, rows);
            if (!normed_) continue;
            norm.x = w.x.view(0, rows);
            norm.rstd = w.rstd.view(0, {{'N', n()}});
            norm.gain = params_.value(w.gain);
            norm.eps = static_cast<Real>(shape_.norm_eps);
            norm.dgain = w.dgain.view(0, {{'P', parts()}, {'C', c()}});
        }
        return all;
    }

    void read(int l) {
        mixer_->read(ctx_, l, norms(l));
        for (Way& w : site(l)) {
            w.seen.clear();
            for (const T x : (normed_ ? w.x : w.xhat).fetch()) w.seen.push_back(Real(x));
            keep(Made::Kind::forward, "x_" + std::to_string(l), w.seen);
        }
        if (l == 1) return;
        const Index width = mixer_->stream_width();
        const View<Real> stream = stream_.view(0, {{'N', n()}, {'C', width}});
        mixer_->stream(ctx_, l - 1, stream);
        keep(Made::Kind::forward, "stream_" + std::to_string(l - 1), stream_.fetch());
    }
    Real output(int l, Index i) {
        const Index k = i % c(), next = i - k + (k + 1) % c();
        Real z = 0;
        for (const Way& w : site(l))
            z += w.a[std::size_t(k)] * w.seen[std::size_t(i)] +
                 w.b[std::size_t(k)] * w.seen[std::size_t(next)];
        return std::tanh(z);
    }
    void forward() {
        put(mixer_->slot(ctx_, 0), input_.data());
        mixer_->begin(ctx_);
        for (int l = 1; l <= shape_.sublayers(); ++l) {
            read(l);
            std::vector<T> v;
            for (Index i = 0; i < n() * c(); ++i) v.push_back(static_cast<T>(output(l, i)));
            put(mixer_->slot(ctx_, l), v.data());
            mixer_->write(ctx_, l);
        }
        read(shape_.sublayers() + 1);
        for (const Index token : {Index(0), n() - 1})
            for (int way = 0; way < mixer_->most_ways(); ++way)
                keep(Made::Kind::forward, "M", depth_matrix(ctx_, *mixer_, token, way));
    }

    void read_backward(int l) {
        const std::vector<PreNorm<T>> all = norms(l);
        mixer_->read_backward(ctx_, l, all);
        for (const Way& w : site(l)) check_untouched(w);
        for (std::size_t way = 0; normed_ && way < all.size(); ++way) {
            std::vector<Real> sum = fetch<Real>(params_.grad(site(l)[way].gain));
            const std::vector<Real> dgain = site(l)[way].dgain.fetch();
            for (std::size_t i = 0; i < dgain.size(); ++i) sum[i % sum.size()] += dgain[i];
            put(params_.grad(site(l)[way].gain), sum.data());
        }
    }
    // x, which a product may read beside (Sublayer::backward).
    void check_untouched(const Way& w) const {
        if (!normed_) return;
        const std::vector<T> x = w.x.fetch();
        for (std::size_t i = 0; i < x.size(); ++i)
            require(Real(x[i]) == w.seen[i], "a read's backward changed x");
    }
    void backward() {
        const int last = shape_.sublayers() + 1;
        std::vector<T> dx;
        for (std::size_t i = 0; i < target_.size(); ++i)
            dx.push_back(static_cast<T>(target_[i] + site(last).front().seen[i]));
        put(site(last).front().dx.view(), dx.data());
        read_backward(last);
        for (int l = last - 1; l >= 1; --l) {
            const std::vector<T> dv = fetch<T>(mixer_->write_backward(ctx_, l));
            keep(Made::Kind::input, "dv_" + std::to_string(l), dv);
            const auto dz = [&](Index i) {
                const Real v = output(l, i);
                return Real(dv[std::size_t(i)]) * (Real(1) - v * v);
            };
            for (Way& w : site(l)) {
                for (Index i = 0; i < n() * c(); ++i) {
                    const Index k = i % c(), before = i - k + (k + c() - 1) % c();
                    dx[std::size_t(i)] = static_cast<T>(
                        w.a[std::size_t(k)] * dz(i) + w.b[std::size_t(before % c())] * dz(before));
                }
                put(w.dx.view(), dx.data());
            }
            read_backward(l);
        }
        keep(Made::Kind::input, "dv_0", fetch<T>(mixer_->begin_backward(ctx_)));
    }

    MixerPtr<T> mixer_;
    Context ctx_;
    bool normed_;
    MixerShape shape_;
    ParamStore<Real> params_;
    std::optional<Frame> frame_;
    std::vector<Site> sites_;  // l = 1..L+1
    std::vector<Real> target_;
    std::vector<T> input_;
    DeviceArray<Real> stream_;
    std::vector<Made> made_;
};

}  // namespace plumb::test
