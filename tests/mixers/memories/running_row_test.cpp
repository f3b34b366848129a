// The running row with rules that ask for all it offers at once; the mixers on it ask for a part.
#include "mixers/memories/running_row.h"

#include "check/compare.h"
#include "check/gradient_check.h"
#include "mixers/reference.h"
#include "support/every_mixer.h"
#include "support/row_rules.h"

using namespace plumb;
using namespace plumb::test;

namespace {

template <class R>
void is_its_rule() {
    for (const MixerShape& shape : {MixerShape{1, 2, 4, 1e-3}, MixerShape{4, 3, 17, 0.05}}) {
        INFO("L=" << shape.sublayers() << " C=" << shape.channels);
        ToyStack<double> fast(std::make_unique<RunningRow<double, R>>(R(shape)), 3),
            plain(std::make_unique<Reference>(std::make_unique<R>(shape)), 3);
        for (ToyStack<double>* s : {&fast, &plain}) perturb(s->params(), 0.1, 4);
        CHECK(std::abs(fast.forward({}) - plain.forward({})) <= 1e-12);
        const std::vector<double> m = fast.matrix(1), want = plain.matrix(1);
        CHECK(relative_error(std::span(m), std::span(want)) <= 1e-12);
        const GradientError error = check_gradients(fast);
        INFO("worst: " << error.where);
        CHECK(error.worst <= 1e-7);
    }
}

// h' = p h + v.
class DampedRule final : public RuleOf<DampedRule> {
public:
    DampedRule(const MixerShape& shape, double start) : RuleOf(shape), start_(start) {}
    std::vector<RuleParam> params(int l) const override {
        if (l > sublayers()) return {};
        return {{RuleParam::Is::numbers, "carry", {{'G', 1}}, Init::constant(start_)}};
    }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(1);
    }
    template <class N>
    void A(int, const N*, const N*, const N* p, N* a) const {
        a[0] = p[0], a[1] = N(1);
    }

private:
    double start_;
};

// Rules of a token that this memory does not carry.
template <int n_numbers, bool two_rows, bool scaled_read>
class UnfitRule final : public RuleOf<UnfitRule<n_numbers, two_rows, scaled_read>> {
public:
    explicit UnfitRule(const MixerShape& shape)
        : RuleOf<UnfitRule<n_numbers, two_rows, scaled_read>>(shape) {}
    int rows(int) const override { return two_rows ? 2 : 1; }
    std::vector<RuleParam> params(int l) const override {
        if (l > this->sublayers()) return {};
        return {{RuleParam::Is::numbers, "p", {{'G', n_numbers}}, Init::constant(0)}};
    }
    Dots write_dots(int) const override { return {{Operand::row(0), Operand::row(1)}}; }
    template <class N>
    void c(int, const N*, const N*, N* c) const {
        c[0] = N(scaled_read ? 2 : 1);
    }
    template <class N>
    void A(int, const N*, const N*, const N*, N* a) const {
        a[0] = a[1] = N(1);
    }
};

template <int n_numbers, bool two_rows, bool scaled_read>
void make_unfit() {
    using R = UnfitRule<n_numbers, two_rows, scaled_read>;
    RunningRow<double, R>(R(MixerShape{2, 1, 3, 1e-6}));
}

}  // namespace

TEST_CASE("a running row whose weights are the token's is its rule", "[mixers]") {
    is_its_rule<TokenRule>();
}

TEST_CASE("a running row with a row of weights is its rule", "[mixers]") {
    is_its_rule<SiteRule>();
}

TEST_CASE("a running row refuses a rule that it does not carry", "[mixers]") {
    CHECK_NOTHROW(make_unfit<RowUses::kNumbers, false, false>());
    CHECK_THROWS_AS((make_unfit<RowUses::kNumbers + 1, false, false>()), InternalError);
    CHECK_THROWS_AS((make_unfit<1, true, false>()), InternalError);
    CHECK_THROWS_AS((make_unfit<1, false, true>()), InternalError);
    const MixerShape shape{2, 3, 4, 1e-6};
    CHECK_NOTHROW(RunningRow<double, DampedRule>(DampedRule(shape, 0.5)));
    CHECK_THROWS_AS((RunningRow<double, DampedRule>(DampedRule(shape, 0))), InternalError);
}
