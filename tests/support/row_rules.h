// Rules that ask a running row for all that it offers.
#pragma once

#include "mixers/rule.h"

namespace plumb::test {

// Both kinds of dots, in another order than the memory's, and more inputs than a dual has ways.
class TokenRule final : public RuleOf<TokenRule> {
public:
    using RuleOf::RuleOf;
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {{RuleParam::Is::numbers, "bias", {{'G', 2}}, Init::constant(0.2)},
                {RuleParam::Is::vectors, "query", {{'C', shape().channels}}, Init::constant(0.3)},
                {RuleParam::Is::numbers, "scale", {{'G', 3}}, Init::constant(0.5)}};
    }
    Dots read_dots(int l) const override {
        if (l > sublayers()) return {};
        return {{Operand::row(0), Operand::vector(0)}, {Operand::row(0), Operand::row(0)}};
    }
    Dots write_dots(int) const override {
        return {{Operand::row(1), Operand::row(1)},
                {Operand::row(0), Operand::row(1)},
                {Operand::row(0), Operand::row(0)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int, const N* u, const N* w, const N* p, N* a) const {
        using std::tanh;
        const N t = sigmoid(p[0] + p[2] * u[0] * rstd(u[1]));
        const N along = tanh(p[1] + p[3] * w[1] * rstd(w[2]));
        a[0] = N(1) - N(0.5) * t + N(0.2) * along * rstd(w[0] + w[2]);
        a[1] = t * along + p[4] * rstd(w[0]);
    }
};

// A row of weights, both of them learned.
class SiteRule final : public RuleOf<SiteRule> {
public:
    using RuleOf::RuleOf;
    int groups() const override { return static_cast<int>(shape().channels); }
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {{RuleParam::Is::numbers, "keep", {{'C', shape().channels}}, Init::constant(0.9)},
                {RuleParam::Is::numbers, "gain", {{'C', shape().channels}}, Init::constant(0.4)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        for (int g = 0; g < groups(); ++g) c[g] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N* p, N* a) const {
        for (int g = 0; g < groups(); ++g) {
            a[2 * g] = p[g] * p[g];
            a[2 * g + 1] = p[groups() + g] + p[g];
        }
    }
};

// A channel is weighed by its neighbour's number.
class ShiftedRule final : public RuleOf<ShiftedRule> {
public:
    using RuleOf::RuleOf;
    int groups() const override { return static_cast<int>(shape().channels); }
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {{RuleParam::Is::numbers, "gain", {{'C', shape().channels}}, Init::constant(0.4)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        for (int g = 0; g < groups(); ++g) c[g] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N* p, N* a) const {
        for (int g = 0; g < groups(); ++g) {
            a[2 * g] = N(1);
            a[2 * g + 1] = p[(g + 1) % groups()];
        }
    }
};

// One weight for all channels, learned or not.
template <bool learns>
class NumbersRule final : public RuleOf<NumbersRule<learns>> {
public:
    explicit NumbersRule(const MixerShape& shape) : RuleOf<NumbersRule<learns>>(shape) {}
    std::vector<RuleParam> params(int l) const override {
        if (l > this->sublayers() || !learns) return {};
        return {{RuleParam::Is::numbers, "keep", {{'G', 2}}, Init::constant(0.9)},
                {RuleParam::Is::numbers, "gain", {{'G', 1}}, Init::constant(0.4)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int l, const N*, const N*, const N* p, N* a) const {
        a[0] = learns ? p[0] * p[1] : N(0.9);
        a[1] = learns ? p[2] + p[0] * N(l) : N(0.3 * l);
    }
};

}  // namespace plumb::test
