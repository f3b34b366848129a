// Every mixer behind pre-norms and without, in all three storage types.
#include "check/compare.h"
#include "check/gradient_check.h"
#include "core/parallel.h"
#include "support/bf16_stack.h"
#include "support/every_mixer.h"

#include <cstring>
#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

const MixerShape kFewTokens{5, 3, 7, 1e-6};
const MixerShape kManyTokens{4, 2 * kTokenChunk + 3, 9, 1e-6};

// With as many channels for each head.
MixerShape shape_for(const MixerConfig& config, MixerShape shape) {
    shape.channels *= config.integer("heads");
    return shape;
}

template <class T>
std::vector<double> doubles(const std::vector<T>& x) {
    std::vector<double> all;
    for (const T& i : x) all.push_back(static_cast<double>(static_cast<RealOf<T>>(i)));
    return all;
}

// What one pass produces.
struct Compared {
    enum class Kind : std::uint8_t { forward, input, parameter } kind;
    std::string name;
    std::vector<double> values;

    // gate.bias of layer.3.attn.mixer.gate.bias
    std::string role() const {
        const std::size_t mixer = name.find("mixer.");
        return mixer == std::string::npos ? name.substr(0, name.find('.')) : name.substr(mixer);
    }
};
template <class T>
std::vector<Compared> pass(Bf16Stack<T>& stack, const Context& ctx = {}) {
    stack.params().zero_grad();
    stack.forward(ctx);
    std::vector<Compared> all{{Compared::Kind::forward, "loss", stack.loss_terms()}};
    for (int l = 1; l <= stack.mixer().shape().sublayers() + 1; ++l)
        for (int way = 0; way < stack.mixer().ways(l); ++way)
            all.push_back({Compared::Kind::forward, fmt::format("x_{}", l),
                           doubles(stack.read(l, static_cast<std::size_t>(way)))});
    stack.backward(ctx);
    all.push_back({Compared::Kind::input, "dv_0", doubles(stack.dinput())});
    for (const ParamSpec& spec : stack.params().specs()) {
        const auto g = numbers(stack.params().grad(stack.params().find(spec.name)));
        all.push_back({Compared::Kind::parameter, spec.name, {g.begin(), g.end()}});
    }
    return all;
}

template <class T>
std::vector<double> bits(const MixerConfig& config, bool normed, int threads) {
    Bf16Stack<T> stack(make_mixer<T>(config, shape_for(config, kManyTokens)), normed);
    std::vector<double> all;
    for (const Compared& t : pass(stack, {Device::cpu, threads}))
        all.insert(all.end(), t.values.begin(), t.values.end());
    return all;
}

// f(config, normed) for every setting of every mixer, behind pre-norms and raw.
template <class F>
void for_every_stack(F&& f) {
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        for (const bool normed : {true, false}) {
            INFO((normed ? "behind pre-norms" : "raw"));
            f(config, normed);
        }
    });
}

}  // namespace

TEST_CASE("gradients behind pre-norms match central differences", "[mixers]") {
    for_every_stack([&](const MixerConfig& config, bool normed) {
        Bf16Stack<double> stack(make_mixer<double>(config, shape_for(config, kFewTokens)), normed);
        pass(stack);
        const std::vector<double> grads = stack.params().grads(), dinput = stack.dinput();
        double largest = 0;
        for (const double x : grads) largest = worse(largest, std::abs(x));
        const double unseen = difference_noise(stack.forward({})) / 1e-7;
        const auto check = [&](const std::string& name, std::span<double> x,
                               std::span<const double> gradient, double floor) {
            std::vector<double> numeric;
            for (double& value : x)
                numeric.push_back(central_difference([&] { return stack.forward({}); }, value));
            INFO(name);
            CHECK(relative_error(gradient, std::span(numeric), floor) <= 1e-7);
        };
        check("v_0", stack.input(), dinput, 1e-6 * largest);
        for (const ParamSpec& spec : stack.params().specs()) {
            const View<double> x = stack.params().value(stack.params().find(spec.name));
            const auto count = static_cast<std::size_t>(x.count());
            check(spec.name, numbers(x),
                  std::span(grads).subspan(static_cast<std::size_t>(spec.offset), count),
                  std::max(1e-6 * largest, is_only_weight(spec) ? unseen : 0));
        }
    });
}

// Root mean square of want - got over that of want, both over all tensors of one role: a gradient
// that all but cancels is measured by its peers at other sublayers.
struct Difference {
    double error = 0, size = 0;  // sums of squares

    void add(std::span<const double> got, std::span<const double> want) {
        REQUIRE(got.size() == want.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
            error += (got[i] - want[i]) * (got[i] - want[i]);
            size += want[i] * want[i];
        }
    }
    double relative() const { return size > 0 ? std::sqrt(error / size) : std::sqrt(error); }
};

// One rounding to bf16 changes a number by up to u = 2^-8 of itself, by 0.43 u in the root mean
// square (even over +-u/2 to +-u, wherever between two powers of 2 the number lies); n of them,
// independent and none amplified, by 0.43 sqrt(n) u. On the way through one sublayer a number is
// rounded four times (v, what the mixer keeps, xhat, x), on the way back four times (dx, what the
// mixer keeps, dv, xhat again); a gradient sees forward's roundings twice: in the values it is
// taken at and as a factor. Twice that leaves room for what mixing amplifies; a parameter's
// gradient, a sum of mixed sign over tokens and channels, for as much as three times more.
double limit(Compared::Kind kind, int sublayers) {
    const int roundings = (kind == Compared::Kind::forward ? 4 : 12) * (sublayers + 1);
    return (kind == Compared::Kind::parameter ? 6 : 2) * 0.43 * std::sqrt(roundings) / 256;
}

TEST_CASE("bf16 follows double to its rounding", "[mixers]") {
    for_every_stack([&](const MixerConfig& config, bool normed) {
        for (const MixerShape& wanted : {kFewTokens, kManyTokens}) {
            const MixerShape shape = shape_for(config, wanted);
            Bf16Stack<double> exact(make_mixer<double>(config, shape), normed);
            Bf16Stack<Bf16> rounded(make_mixer<Bf16>(config, shape), normed);
            const std::vector<Compared> want = pass(exact), got = pass(rounded);
            REQUIRE(got.size() == want.size());
            std::map<std::pair<Compared::Kind, std::string>, Difference> differences;
            for (std::size_t k = 0; k < want.size(); ++k)
                differences[{want[k].kind, want[k].role()}].add(got[k].values, want[k].values);
            for (const auto& [key, difference] : differences) {
                INFO(key.second << ", " << shape.tokens << " tokens");
                CHECK(difference.relative() <= limit(key.first, shape.sublayers()));
            }
        }
    });
}

TEST_CASE("one and two threads give the same bits in float and bf16", "[mixers]") {
    const auto same = [](const std::vector<double>& a, const std::vector<double>& b) {
        return a.size() == b.size() &&
               std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
    };
    for_every_stack([&](const MixerConfig& config, bool normed) {
        CHECK(same(bits<float>(config, normed, 1), bits<float>(config, normed, 2)));
        CHECK(same(bits<Bf16>(config, normed, 1), bits<Bf16>(config, normed, 2)));
    });
}
