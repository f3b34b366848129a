// What every depth mixer promises, over the whole table and all test settings.
#include "check/compare.h"
#include "support/every_mixer.h"

#include <cstring>

using namespace plumb;
using namespace plumb::test;

namespace {

constexpr int kL = 5;
const MixerShape kShape{kL, 3, 6, 1e-6};

// Everything a pass produces, for comparisons of bits.
template <class Real>
std::vector<Real> pass(ToyStack<Real>& stack, const Context& ctx = {}, Real scale = 1) {
    stack.params().zero_grad();
    std::vector<Real> all{static_cast<Real>(stack.forward(ctx))};
    stack.backward(ctx, scale);
    const auto append = [&](std::span<Real> x) { all.insert(all.end(), x.begin(), x.end()); };
    for (int l = 1; l <= stack.mixer().shape().sublayers() + 1; ++l)
        for (int way = 0; way < stack.mixer().ways(l); ++way) append(numbers(stack.read(l, way)));
    append(numbers(stack.dinput()));
    append(numbers(stack.params().flat_grads()));
    return all;
}

template <class Real>
bool same_bits(const std::vector<Real>& a, const std::vector<Real>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0;
}

}  // namespace

TEST_CASE("every call of a mixer has its shape", "[mixers]") {
    const Shape tokens{{'N', kShape.tokens}, {'C', kShape.channels}};
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        DepthMixer<double>& mixer = stack->mixer();
        const Context ctx = stack->home();
        const Index g = mixer.matrix_channels();
        CHECK(kShape.channels % g == 0);
        for (int l = 1; l <= kL + 1; ++l) CHECK((mixer.ways(l) == 1 || mixer.ways(l) == kMostWays));
        CHECK(mixer.ways(kL + 1) == 1);
        CHECK(mixer.slot(ctx, 0).shape == tokens);
        mixer.begin(ctx);
        for (int l = 1; l <= kL + 1; ++l) {
            mixer.read(ctx, l, stack->raw(l));
            if (l > kL) break;
            CHECK(mixer.slot(ctx, l).shape == tokens);
            mixer.write(ctx, l);
            CHECK(mixer.stream_width() % kShape.channels == 0);
        }
        for (int l = kL + 1; l >= 1; --l) {
            mixer.read_backward(ctx, l, stack->raw(l));
            if (l > 1) CHECK(mixer.write_backward(ctx, l - 1).shape == tokens);
        }
        CHECK(mixer.begin_backward(ctx).shape == tokens);
    });
}

TEST_CASE("calls out of order throw", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        DepthMixer<double>& mixer = stack->mixer();
        const Context ctx = stack->home();
        CHECK_THROWS_AS(mixer.read(ctx, 1, stack->raw(1)), InternalError);
        CHECK_THROWS_AS(mixer.begin_backward(ctx), InternalError);
        CHECK_THROWS_AS(mixer.slot(ctx, -1), InternalError);
        CHECK_THROWS_AS(mixer.slot(ctx, kL + 1), InternalError);
        mixer.begin(ctx);
        CHECK_THROWS_AS(mixer.write(ctx, 1), InternalError);
        CHECK_THROWS_AS(mixer.read(ctx, 2, stack->raw(2)), InternalError);
        std::vector<PreNorm<double>> too_many = stack->raw(1);
        too_many.push_back(too_many.front());
        CHECK_THROWS_AS(mixer.read(ctx, 1, too_many), InternalError);
        mixer.read(ctx, 1, stack->raw(1));
        CHECK_THROWS_AS(mixer.read(ctx, 1, stack->raw(1)), InternalError);
        CHECK_THROWS_AS(mixer.write(ctx, 2), InternalError);
        CHECK_THROWS_AS(mixer.read_backward(ctx, kL + 1, stack->raw(kL + 1)), InternalError);
        stack->forward(ctx);  // begin() is always allowed
        CHECK_THROWS_AS(mixer.write_backward(ctx, kL), InternalError);
        mixer.read_backward(ctx, kL + 1, stack->raw(kL + 1));
        CHECK_THROWS_AS(mixer.read_backward(ctx, kL, stack->raw(kL)), InternalError);
        CHECK_THROWS_AS(mixer.write_backward(ctx, kL - 1), InternalError);
        CHECK_THROWS_AS(mixer.begin_backward(ctx), InternalError);
        mixer.write_backward(ctx, kL);
        CHECK_THROWS_AS(mixer.write_backward(ctx, kL), InternalError);
        stack->forward(ctx);
        stack->backward(ctx);
        CHECK_THROWS_AS(mixer.begin_backward(ctx), InternalError);
        std::vector<double> m(static_cast<std::size_t>(kL * kL));
        const View<double> small{m.data(), {{'L', kL}, {'S', kL}}, Device::cpu};
        CHECK_THROWS_AS(mixer.matrices(ctx)(0, small, 0), InternalError);
        CHECK_THROWS_AS(stack->matrix(kShape.tokens), InternalError);
    });
}

TEST_CASE("each frame has a walk of its own", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        DepthMixer<double>& mixer = stack->mixer();
        const Frame other(stack->plan(), stack->params());
        const Context here = stack->home(), there = here.in(other);
        mixer.begin(here);
        mixer.read(here, 1, stack->raw(1));
        CHECK_THROWS_AS(mixer.write(there, 1), InternalError);  // has not begun
        mixer.begin(there);
        CHECK_THROWS_AS(mixer.write(there, 1), InternalError);
        mixer.write(here, 1);  // goes on where it was
        mixer.read(there, 1, stack->raw(1));
        CHECK_THROWS_AS(mixer.read(there, 2, stack->raw(2)), InternalError);
        mixer.read(here, 2, stack->raw(2));
        CHECK(mixer.slot(here, 1).data != mixer.slot(there, 1).data);
    });
}

TEST_CASE("the same call gives the same bits, and begin() forgets the last forward", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape),
                   other = toy_stack<double>(config, kShape);
        const std::vector<double> first = pass(*stack);
        CHECK(same_bits(first, pass(*other)));
        other->fill_input(9);
        const std::vector<double> changed = pass(*other);
        CHECK(!same_bits(first, changed));
        other->mixer().begin(other->home());  // a forward given up after one read
        other->mixer().read(other->home(), 1, other->raw(1));
        other->fill_input(1);
        CHECK(same_bits(first, pass(*other)));
    });
}

TEST_CASE("backward is linear in its input and adds to parameter gradients", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        const Context ctx;
        pass(*stack);
        const std::vector<double> grads = stack->params().grads();
        const auto dinput = numbers(stack->dinput());
        const std::vector<double> dv(dinput.begin(), dinput.end());
        // Twice the input: a power of two, so exactly twice the output.
        pass(*stack, ctx, 2.0);
        const std::vector<double> twice = stack->params().grads();
        for (std::size_t i = 0; i < grads.size(); ++i) CHECK(twice[i] == 2 * grads[i]);
        for (std::size_t i = 0; i < dv.size(); ++i) CHECK(dinput[i] == 2 * dv[i]);
        // A third pass on top: parameter gradients add up, the input's is overwritten.
        stack->forward(ctx);
        stack->backward(ctx);
        std::vector<double> thrice = grads;
        for (double& x : thrice) x *= 3;
        CHECK(relative_error(numbers(stack->params().flat_grads()), std::span(thrice)) <= 1e-14);
        for (std::size_t i = 0; i < dv.size(); ++i) CHECK(dinput[i] == dv[i]);
    });
}

TEST_CASE("M v = read, and M is zero at and above the diagonal", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        for (const int sublayers : {5, 6, 12}) {
            const auto stack = toy_stack<double>(config, {sublayers, 3, 6, 1e-6});
            stack->forward({});
            CHECK(matrix_error(*stack) <= 1e-13);
            const Index rows = sublayers + 1, g = stack->mixer().matrix_channels();
            for (Index n = 0; n < 3 * stack->mixer().most_ways(); ++n) {
                const std::vector<double> m = stack->matrix(n % 3, static_cast<int>(n / 3));
                for (Index r = 0; r < rows; ++r)
                    for (Index k = (r + 1) * g; k < rows * g; ++k)
                        CHECK(m[static_cast<std::size_t>(r * rows * g + k)] == 0.0);
            }
        }
    });
}

TEST_CASE("one and two threads give the same bits", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{4, 2 * kTokenChunk + 3, 18, 1e-6};
        const auto one = toy_stack<float>(config, shape), two = toy_stack<float>(config, shape);
        CHECK(same_bits(pass(*one, {Device::cpu, 1}), pass(*two, {Device::cpu, 2})));
    });
}

TEST_CASE("float follows double to rounding", "[mixers]") {
    // Some tens of roundings reach each number, and sums of mixed sign lose a digit; a parameter of
    // one number (a scale, a bias) has no larger neighbour to be measured by and loses another.
    constexpr double kLimit = 500 * std::numeric_limits<float>::epsilon();
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto exact = toy_stack<double>(config, kShape);
        const auto rounded = toy_stack<float>(config, kShape);
        pass(*exact);
        pass(*rounded);
        for (int l = 1; l <= kL + 1; ++l)
            for (int way = 0; way < exact->mixer().ways(l); ++way)
                CHECK(relative_error(numbers(rounded->read(l, way)),
                                     numbers(exact->read(l, way))) <= kLimit);
        CHECK(relative_error(numbers(rounded->dinput()), numbers(exact->dinput())) <= kLimit);
        for (const ParamSpec& spec : exact->params().specs()) {
            const auto want = numbers(exact->params().grad(exact->params().find(spec.name)));
            const auto got = numbers(rounded->params().grad(rounded->params().find(spec.name)));
            INFO(spec.name);
            CHECK(relative_error(got, want) <= (want.size() == 1 ? 10 : 1) * kLimit);
        }
    });
}

TEST_CASE("a NaN stays visible and inside its token", "[mixers]") {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        const auto stack = toy_stack<double>(config, kShape);
        stack->input().row(1)[2] = std::numeric_limits<double>::quiet_NaN();
        CHECK(std::isnan(stack->forward({})));
        const View<double> h = stack->read(kL + 1);
        bool lost = true;
        for (Index c = 0; c < kShape.channels; ++c) {
            lost = lost && !std::isnan(h.row(1)[c]);
            CHECK(std::isfinite(h.row(0)[c]));
            CHECK(std::isfinite(h.row(2)[c]));
        }
        CHECK(!lost);
        CHECK(std::isnan(matrix_error(*stack)));
        stack->backward({});
        CHECK(std::isnan(stack->dinput().row(1)[2]));
    });
}

TEST_CASE("comparisons do not pass a NaN", "[mixers]") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> good{1, 2}, bad{nan, 2};
    CHECK(!(relative_error(std::span(bad), std::span(good)) <= 1));
    CHECK(!(relative_error(std::span(good), std::span(bad)) <= 1));
    CHECK(std::isnan(worse(nan, 1)));
    CHECK(std::isnan(worse(1, nan)));
}
