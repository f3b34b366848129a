// A mixer whose backward is wrong by 1 %, around one that is right.
#pragma once

#include "mixers/mixers.h"

#include <vector>

namespace plumb::test {

enum class Broken { nothing, write_backward, begin_backward, parameter };

class BrokenMixer final : public DepthMixer<double> {
public:
    // `parameter`: index into the store's specs, for Broken::parameter.
    BrokenMixer(MixerPtr<double> inner, Broken what, Index parameter = 0)
        : DepthMixer<double>(inner->shape()),
          inner_(std::move(inner)),
          what_(what),
          parameter_(parameter) {}

    Index stream_width() const override { return inner_->stream_width(); }
    void stream(const Context& ctx, int l, View<double> out) const override {
        inner_->stream(ctx, l, out);
    }
    Index matrix_channels() const override { return inner_->matrix_channels(); }
    int ways(int l) const override { return inner_->ways(l); }

protected:
    void do_declare(Plan& plan, ParamStore<double>& params) override {
        inner_->declare(plan, params);
        params_ = &params;
    }
    View<double> do_slot(const Context& ctx, int l) const override { return inner_->slot(ctx, l); }
    void do_begin(const Context& ctx) override { inner_->begin(ctx); }
    void do_read(const Context& ctx, int l, const PreNorm<double>& norm) override {
        inner_->read(ctx, l, norm);
    }
    void do_read_ways(const Context& ctx, int l, PreNorms norms) override {
        inner_->read(ctx, l, norms);
    }
    void do_write(const Context& ctx, int l) override { inner_->write(ctx, l); }
    void do_read_backward(const Context& ctx, int l, const PreNorm<double>& norm) override {
        inner_->read_backward(ctx, l, norm);
    }
    void do_read_backward_ways(const Context& ctx, int l, PreNorms norms) override {
        inner_->read_backward(ctx, l, norms);
    }
    View<const double> do_write_backward(const Context& ctx, int l) override {
        return scaled(inner_->write_backward(ctx, l), what_ == Broken::write_backward && l == 2);
    }
    View<const double> do_begin_backward(const Context& ctx) override {
        const View<const double> dv = inner_->begin_backward(ctx);
        if (what_ == Broken::parameter) {
            const View<double> g = params_->grad({parameter_});
            for (Index i = 0; i < g.count(); ++i) g.data[i] *= 1.01;
        }
        return scaled(dv, what_ == Broken::begin_backward);
    }
    OfToken do_matrices(const Context& ctx) const override { return inner_->matrices(ctx); }
    MovedNumbers moves(DepthCall, int) const override { return {}; }  // inner_ counts

private:
    View<const double> scaled(View<const double> x, bool wrong) {
        if (!wrong) return x;
        copy_.assign(x.data, x.data + x.count());
        for (double& v : copy_) v *= 1.01;
        return {copy_.data(), x.shape, x.device};
    }

    MixerPtr<double> inner_;
    Broken what_;
    Index parameter_;
    ParamStore<double>* params_ = nullptr;
    std::vector<double> copy_;
};

}  // namespace plumb::test
