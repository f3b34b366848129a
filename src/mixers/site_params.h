// SiteParams: the parameters of a rule's site (rule.h) as an engine wants them: the numbers one
// behind the other, vectors and matrices counted through all tensors of their kind.
#pragma once

#include "core/context.h"
#include "mixers/rule.h"

#include <algorithm>

namespace plumb {

template <class Real>
class SiteParams {
public:
    SiteParams() = default;
    SiteParams(const Rule& rule, int l) : specs_(rule.params(l)) {}

    void declare(ParamStore<Real>& params, int l, const Layout& layout) {
        for (const RuleParam& p : specs_) ids_.push_back(params.declare(param_spec(p, l, layout)));
    }
    Index count(RuleParam::Is is) const { return plumb::count(specs_, is); }

    // f(value, gradient&) of each number of the equation, in order.
    template <class F>
    void for_numbers(const Context& ctx, F&& f) const {
        for (std::size_t k = 0; k < specs_.size(); ++k) {
            if (specs_[k].is != RuleParam::Is::numbers) continue;
            const View<Real> value = ctx.value(ids_[k]), gradient = ctx.grad(ids_[k]);
            for (Index i = 0; i < value.count(); ++i) f(value.data[i], gradient.data[i]);
        }
    }
    template <class Out>
    void numbers(const Context& ctx, Out out) const {
        for_numbers(ctx, [&](Real x, Real) { *out++ = x; });
    }
    // Where number `first` of all that vectors, or matrices, have is; or its gradient.
    Real* at(const Context& ctx, RuleParam::Is is, Index first, bool gradient = false) const {
        for (std::size_t k = 0; k < specs_.size(); ++k) {
            if (specs_[k].is != is) continue;
            if (const Index n = specs_[k].shape.count(); first >= n)
                first -= n;
            else
                return (gradient ? ctx.grad(ids_[k]) : ctx.value(ids_[k])).data + first;
        }
        throw InternalError("a rule asks for its own parameters");
    }
    Real* vector(const Context& ctx, Index i, Index width, bool gradient = false) const {
        return at(ctx, RuleParam::Is::vectors, i * width, gradient);
    }

private:
    std::vector<RuleParam> specs_;
    std::vector<Param<Real>> ids_;
};

}  // namespace plumb
