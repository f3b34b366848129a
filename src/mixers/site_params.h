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
    std::vector<double> fetched_numbers(const Context& ctx) const {
        std::vector<double> all;
        for (std::size_t k = 0; k < specs_.size(); ++k)
            if (specs_[k].is == RuleParam::Is::numbers)
                for (const Real x : fetch<Real>(ctx.value(ids_[k]))) all.push_back(x);
        return all;
    }

    // The flat array of parameters, or of gradients, and where in it something is. Null where the
    // site has no parameters.
    Real* flat(const Context& ctx, bool gradient = false) const {
        if (ids_.empty()) return nullptr;
        return (gradient ? ctx.grad(ids_[0]) : ctx.value(ids_[0])).data - ids_[0].offset;
    }
    std::vector<Index> number_places() const {
        std::vector<Index> all;
        for (std::size_t k = 0; k < specs_.size(); ++k)
            for (Index i = 0; specs_[k].is == RuleParam::Is::numbers && i < specs_[k].shape.count();
                 ++i)
                all.push_back(ids_[k].offset + i);
        return all;
    }
    // Of number `first` of all that vectors, or matrices, have.
    Index place(RuleParam::Is is, Index first) const {
        for (std::size_t k = 0; k < specs_.size(); ++k) {
            if (specs_[k].is != is) continue;
            if (const Index n = specs_[k].shape.count(); first >= n)
                first -= n;
            else
                return ids_[k].offset + first;
        }
        throw InternalError("a rule asks for its own parameters");
    }
    // Where number `first` of all that vectors, or matrices, have is; or its gradient.
    Real* at(const Context& ctx, RuleParam::Is is, Index first, bool gradient = false) const {
        return flat(ctx, gradient) + place(is, first);
    }
    Real* vector(const Context& ctx, Index i, Index width, bool gradient = false) const {
        return at(ctx, RuleParam::Is::vectors, i * width, gradient);
    }

private:
    std::vector<RuleParam> specs_;
    std::vector<Param<Real>> ids_;
};

}  // namespace plumb
