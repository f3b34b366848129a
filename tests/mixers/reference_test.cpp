// Every mixer against its rule in the reference engine (mixers/reference.h), at shapes drawn at
// random, and proof that a rule whose scalars are wrong by 1 % is seen.
#include "mixers/reference.h"
#include "check/compare.h"
#include "check/gradient_check.h"
#include "core/rng.h"
#include "mixers/parameter_kind.h"
#include "mixers/plain.h"
#include "support/every_mixer.h"

#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

std::unique_ptr<ToyStack<double>> stack_on(MixerPtr<double> mixer, std::uint64_t seed) {
    auto stack = std::make_unique<ToyStack<double>>(std::move(mixer), seed);
    perturb(stack->params(), 0.3, seed + 1);
    return stack;
}
std::unique_ptr<ToyStack<double>> reference_stack(RulePtr rule, std::uint64_t seed) {
    return stack_on(std::make_unique<Reference>(std::move(rule)), seed);
}

// Worst relative error of losses, reads, dLoss/dv_0, parameter gradients and M.
double difference(ToyStack<double>& a, ToyStack<double>& b) {
    double worst = 0;
    const auto compare = [&](std::span<const double> x, std::span<const double> y) {
        worst = worse(worst, relative_error(x, y));
    };
    for (ToyStack<double>* s : {&a, &b}) {
        s->params().zero_grad();
        s->forward({});
        s->backward({});
    }
    const MixerShape shape = a.mixer().shape();
    for (int l = 1; l <= shape.sublayers() + 1; ++l)
        for (int way = 0; way < a.mixer().ways(l); ++way)
            compare(numbers(a.read(l, way)), numbers(b.read(l, way)));
    compare(numbers(a.dinput()), numbers(b.dinput()));
    REQUIRE(a.params().specs().size() == b.params().specs().size());
    // A gate's gradient may cancel to little: a kind is measured by its largest, of any sublayer.
    std::map<std::string, std::array<std::vector<double>, 2>> gradients;
    for (const ParamSpec& spec : a.params().specs())
        for (ToyStack<double>* s : {&a, &b}) {
            const auto g = numbers(s->params().grad(s->params().find(spec.name)));
            auto& all = gradients[parameter_kind(spec.name)][s == &b];
            all.insert(all.end(), g.begin(), g.end());
        }
    for (const auto& [kind, both] : gradients) compare(both[0], both[1]);
    for (Index n = 0; n < shape.tokens; ++n)
        for (int way = 0; way < a.mixer().most_ways(); ++way) {
            const std::vector<double> x = a.matrix(n, way), y = b.matrix(n, way);
            compare(x, y);
        }
    return worst;
}

}  // namespace

TEST_CASE("every mixer is its rule, at random shapes, and so is the plain memory", "[mixers]") {
    const CounterRng rng(7, "reference_test");
    std::uint64_t draw = 0;
    const auto any = [&](std::initializer_list<int> of) {
        return of.begin()[static_cast<std::size_t>(rng.uniform(draw++) *
                                                   static_cast<double>(of.size()))];
    };
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        int n_made = 0;
        for (int i = 0; i < 16; ++i) {
            const bool chunks = i == 5 || i == 12;  // more tokens than a chunk has
            const bool wide = i == 11;              // four rows in more than a block of streams
            const Layout layout = i == 12 || i == 13 ? Layout({"attn", "attn", "mlp"}, 3)
                                  : i == 14          ? Layout({"mlp"}, 5)
                                  : i == 15          ? Layout({"mlp", "attn", "mlp", "mlp"}, 2)
                                                     : Layout(any({1, 2, 3, 4, 5, 7, 9}));
            const MixerShape shape{layout, chunks ? 66 : any({1, 2, 5, 18}),
                                   wide ? 136 : any({3, 6, 7, 8, 10, 15, 16, 17, 18, 30, 31}),
                                   i % 2 ? 1e-6 : 0.05};
            const auto seed = static_cast<std::uint64_t>(i);
            const auto stack = toy_stack<double>(config, shape, seed);
            if (!stack) continue;
            ++n_made;
            const auto reference = reference_stack(make_rule(config, shape), seed);
            INFO("L=" << shape.sublayers() << " in " << layout.blocks()
                      << " blocks, N=" << shape.tokens << " C=" << shape.channels);
            CHECK(difference(*stack, *reference) <= 1e-12);
            const auto plain =
                stack_on(std::make_unique<Plain<double>>(make_rule(config, shape)), seed);
            CHECK(difference(*plain, *reference) <= 1e-12);
        }
        CHECK(n_made >= 2);
    });
}

TEST_CASE("the gradients of every rule match central differences", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        for (const MixerShape& shape : {MixerShape{5, 2, 6, 1e-3}, MixerShape{1, 1, 4, 1e-3}}) {
            if (!toy_stack<double>(config, shape)) continue;
            const auto plain = reference_stack(make_rule(config, shape), 3);
            const GradientError error = check_gradients(*plain);
            INFO("L=" << shape.sublayers() << ", worst: " << error.where);
            CHECK(error.worst <= 1e-7);
        }
    });
}

TEST_CASE("a rule declares the parameters of its mixer, with their starts", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{6, 1, 6, 1e-6};
        ToyStack<double> fast(make_mixer<double>(config, shape), 5),
            plain(std::make_unique<Reference>(make_rule(config, shape)), 5);
        REQUIRE(fast.params().specs().size() == plain.params().specs().size());
        for (const ParamSpec& spec : fast.params().specs()) {
            const ParamId id = plain.params().find(spec.name);
            CHECK(plain.params().value(id).shape == spec.shape);
            const auto a = numbers(fast.params().value(fast.params().find(spec.name))),
                       b = numbers(plain.params().value(id));
            CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
        }
    });
}

namespace {

// A rule of which one scalar, counted through c and then A of one site, is 1 % too large.
class BrokenRule final : public Rule {
public:
    BrokenRule(RulePtr inner, int l, std::size_t scalar)
        : Rule(inner->shape()), inner_(std::move(inner)), l_(l), scalar_(scalar) {}

    int groups() const override { return inner_->groups(); }
    int rows(int l) const override { return inner_->rows(l); }
    int ways(int l) const override { return inner_->ways(l); }
    int stream_rows() const override { return inner_->stream_rows(); }
    std::vector<RuleParam> params(int l) const override { return inner_->params(l); }
    Dots read_dots(int l) const override { return inner_->read_dots(l); }
    Dots write_dots(int l) const override { return inner_->write_dots(l); }
    void read(int l, const double* u, const double* p, double* c) const override {
        inner_->read(l, u, p, c);
        if (l == l_ && scalar_ < n_read(l)) spoil(c[scalar_]);
    }
    void read(int l, const DualNumber* u, const DualNumber* p, DualNumber* c) const override {
        inner_->read(l, u, p, c);
    }
    void write(int l, const double* u, const double* w, const double* p, double* a) const override {
        inner_->write(l, u, w, p, a);
        if (l == l_ && scalar_ >= n_read(l)) spoil(a[scalar_ - n_read(l)]);
    }
    void write(int l, const DualNumber* u, const DualNumber* w, const DualNumber* p,
               DualNumber* a) const override {
        inner_->write(l, u, w, p, a);
    }
    void read(int l, const Traced* u, const Traced* p, Traced* c) const override {
        inner_->read(l, u, p, c);
    }
    void write(int l, const Traced* u, const Traced* w, const Traced* p, Traced* a) const override {
        inner_->write(l, u, w, p, a);
    }
    std::size_t n_read(int l) const {
        return static_cast<std::size_t>(ways(l) * groups() * rows(l));
    }
    std::size_t n_scalars(int l) const {
        return n_read(l) + (l > sublayers()
                                ? 0
                                : static_cast<std::size_t>(groups() * rows(l + 1) * (rows(l) + 1)));
    }
    double value() const { return value_; }  // of the scalar, when it was right

private:
    void spoil(double& x) const {
        value_ = x;
        x *= 1.01;
    }
    RulePtr inner_;
    int l_;
    std::size_t scalar_;
    mutable double value_ = 0;
};

}  // namespace

TEST_CASE("a rule that is wrong by 1 % in any scalar is rejected", "[mixers]") {
    const MixerShape kShape{4, 1, 6, 1e-6};
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        int n_broken = 0;
        for (int l = 1; l <= kShape.sublayers() + 1; ++l) {
            const std::size_t n = BrokenRule(make_rule(config, kShape), l, 0).n_scalars(l);
            for (std::size_t i = 0; i < n; ++i) {
                auto rule = std::make_unique<BrokenRule>(make_rule(config, kShape), l, i);
                const BrokenRule& seen = *rule;
                const auto plain = reference_stack(std::move(rule), 1);
                const double error = difference(*stack, *plain);
                if (seen.value() == 0) continue;
                // A row that is kept, and not read again or only through a norm.
                if (seen.value() == 1 && error <= 1e-6) continue;
                ++n_broken;
                INFO("site " << l << ", scalar " << i << " = " << seen.value());
                CHECK(error > 1e-8);
            }
        }
        CHECK(n_broken >= 2 * kShape.sublayers());
    });
}
