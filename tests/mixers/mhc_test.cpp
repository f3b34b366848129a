#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Streams with static coefficients: scale 0 leaves the biases, which are random.
std::unique_ptr<ToyStack<double>> static_mhc(const std::vector<std::string>& settings,
                                             int sublayers) {
    auto stack = toy_stack<double>(mixer_config("mhc", settings), {sublayers, 2, 5, 1e-6});
    for (const ParamSpec& spec : stack->params().specs())
        if (spec.name.ends_with(".scale")) {
            const View<double> scale = stack->params().value(stack->params().find(spec.name));
            std::fill(scale.data, scale.data + scale.count(), 0.0);
        }
    stack->forward({});
    return stack;
}

const double* bias(ToyStack<double>& stack, int l) {
    const std::string name = stack.mixer().shape().layout.name(l) + ".mixer.bias";
    return stack.params().value(stack.params().find(name)).data;
}

}  // namespace

TEST_CASE("mhc: the embedding's column of M does not see R", "[mixers]") {
    // Incoming mixes are normalised, so M[l,0] = sum_s pre_l[s] whatever R is; eps = 1e-6 a pass.
    for (const char* init : {"bias_init=identity", "bias_init=zero", "bias_init=one_hot"}) {
        const auto stack = static_mhc({"streams=3", init}, 6);
        const std::vector<double> m = stack->matrix(0);
        for (int l = 1; l <= 6; ++l) {
            double want = 0;
            for (int s = 0; s < 3; ++s) want += sigmoid(bias(*stack, l)[s]) + 1e-6;
            CHECK(std::abs(m[static_cast<std::size_t>((l - 1) * 7)] - want) <= l * 2e-6 * want);
        }
    }
}

TEST_CASE("mhc: with outgoing mixes normalised the output row does not see R", "[mixers]") {
    // M[L+1,0] = K and M[L+1,i] = sum_s post_i[s]: exact only where Sinkhorn converged.
    const auto stack =
        static_mhc({"streams=3", "reduction=sum", "bias_init=zero", "sinkhorn_iters=60"}, 6);
    const std::vector<double> m = stack->matrix(0);
    const double* row = m.data() + 6 * 7;
    CHECK(std::abs(row[0] - 3) <= 1e-4);
    for (int i = 1; i <= 6; ++i) {
        double want = 0;
        for (int s = 0; s < 3; ++s) want += 2 * sigmoid(bias(*stack, i)[3 + s]);
        CHECK(std::abs(row[i] - want) <= 1e-4);
    }
}

TEST_CASE("mhc: one stream is a gated sum, R = 1", "[mixers]") {
    const auto stack = static_mhc({"streams=1", "reduction=sum"}, 4);
    const std::vector<double> m = stack->matrix(1);
    for (int l = 1; l <= 5; ++l)
        for (int i = 0; i < l; ++i) {
            const double pre = l <= 4 ? sigmoid(bias(*stack, l)[0]) + 1e-6 : 1.0;
            const double post = i > 0 ? 2 * sigmoid(bias(*stack, i)[1]) : 1.0;
            CHECK(std::abs(m[static_cast<std::size_t>((l - 1) * 5 + i)] - pre * post) <= 1e-5);
        }
}

TEST_CASE("mhc: sum and mean differ by the number of streams", "[mixers]") {
    const auto sum = toy_stack<double>(mixer_config("mhc", {"streams=4", "reduction=sum"}));
    const auto mean = toy_stack<double>(mixer_config("mhc", {"streams=4", "reduction=mean"}));
    sum->forward({});
    mean->forward({});
    for (Index i = 0; i < sum->read(6).count(); ++i)
        CHECK(std::abs(sum->read(6).data[i] - 4 * mean->read(6).data[i]) <= 1e-12);
}

TEST_CASE("mhc: initial values are those of the definition", "[mixers]") {
    constexpr int kStreams = 3, kSublayers = 10;
    const auto start = [](const std::string& bias_init) {
        return ToyStack<double>(
            make_mixer<double>(mixer_config("mhc", {"streams=3", "bias_init=" + bias_init}),
                               {kSublayers, 2, 5, 1e-6}));
    };
    auto stack = start("identity");
    const double bound = std::sqrt(6.0 / (kStreams * 5 + kStreams * kStreams + 2 * kStreams));
    for (const ParamSpec& spec : stack.params().specs()) {
        const View<double> x = stack.params().value(stack.params().find(spec.name));
        const auto [least, most] = std::minmax_element(x.data, x.data + x.count());
        if (spec.name.ends_with(".scale")) {
            CHECK(*least == 0.01);
            CHECK(*most == 0.01);
        } else if (spec.name.ends_with(".phi")) {  // 225 numbers: all but surely near its ends
            CHECK((*least >= -bound && *least < -0.9 * bound));
            CHECK((*most <= bound && *most > 0.9 * bound));
        }
    }

    auto one_hot = start("one_hot"), zero = start("zero");
    for (int l = 1; l <= kSublayers; ++l) {
        const int chosen = (l - 1) / 2 % kStreams;  // attention and MLP of a block share a stream
        for (int i = 0; i < 2 * kStreams; ++i) {
            INFO("sublayer " << l << ", bias " << i);
            CHECK(bias(one_hot, l)[i] == (i % kStreams == chosen ? 1.0 : -1.0));
            CHECK(bias(zero, l)[i] == 0);
            const double pre = sigmoid(bias(stack, l)[i]), post = 2 * pre;
            CHECK((i < kStreams ? pre * kStreams : post) == Approx(1).epsilon(1e-14));
        }
    }
}

TEST_CASE("mhc: impossible options are refused by name", "[mixers]") {
    MixerConfig config = mixer_config("mhc");
    config.set("sinkhorn_iters", 65L);
    CHECK_THROWS_WITH(make_mixer<double>(config, {4, 1, 3, 1e-6}),
                      contains_text("sinkhorn_iters=65"));
    config.set("sinkhorn_iters", 20L), config.set("streams", 9L);
    CHECK_THROWS_WITH(make_mixer<double>(config, {4, 1, 3, 1e-6}),
                      contains_text("mixer.streams=9"));
}
