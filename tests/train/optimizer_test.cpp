// AdamW of the trainer against the formula, written out in double.
#include "catch.h"
#include "ops/adamw.h"
#include "support/tiny_trainer.h"
#include "train/schedule.h"

#include <cmath>
#include <cstring>

using namespace plumb;
using namespace plumb::test;

namespace {

// Loshchilov & Hutter 2019, algorithm 2, with the learning rate inside both terms.
struct Reference {
    std::vector<double> w, m, v;

    explicit Reference(const std::vector<float>& start)
        : w(start.begin(), start.end()), m(start.size()), v(start.size()) {}

    // t = 1, 2, ...; decays[i]: weight decay of number i.
    void step(const TrainConfig& c, double lr, long t, const std::vector<float>& grads,
              const std::vector<bool>& decays) {
        double norm = 0;
        for (const float g : grads) norm += static_cast<double>(g) * static_cast<double>(g);
        norm = std::sqrt(norm);
        const double scale = c.clip > 0 && norm > c.clip ? c.clip / norm : 1.0;
        const auto power = static_cast<double>(t);
        for (std::size_t i = 0; i < w.size(); ++i) {
            const double g = scale * static_cast<double>(grads[i]);
            m[i] = c.beta1 * m[i] + (1 - c.beta1) * g;
            v[i] = c.beta2 * v[i] + (1 - c.beta2) * g * g;
            const double m_hat = m[i] / (1 - std::pow(c.beta1, power));
            const double v_hat = v[i] / (1 - std::pow(c.beta2, power));
            w[i] -= lr * (m_hat / (std::sqrt(v_hat) + c.adam_eps) +
                          (decays[i] ? c.weight_decay * w[i] : 0.0));
        }
    }
};

// Weight matrices decay; gains and everything of a mixer do not.
std::vector<bool> decaying(const ParamStore<float>& params) {
    std::vector<bool> out(params.values().size(), false);
    for (const ParamSpec& s : params.specs())
        if (s.name.ends_with(".weight") && s.name.find(".mixer.") == std::string::npos)
            for (Index i = 0; i < s.shape.count(); ++i)
                out[static_cast<std::size_t>(s.offset + i)] = true;
    return out;
}

// Largest difference to the reference after ten steps, relative to the largest update of a step.
double worst_difference(const std::string& mixer, const TrainConfig& train) {
    TinyTrainer t = tiny_trainer(mixer, train);
    Reference reference(t.params().values());
    const std::vector<bool> decays = decaying(t.params());
    double worst = 0;
    for (long s = 0; s < 10; ++s) {
        const StepResult result = t.step(s);
        CHECK(result.lr == learning_rate(train, s));
        reference.step(train, result.lr, s + 1, t.params().grads(), decays);
        const std::vector<float> got = t.params().values();
        for (std::size_t i = 0; i < reference.w.size(); ++i) {
            const double d = std::abs(static_cast<double>(got[i]) - reference.w[i]) / train.lr;
            if (!(d <= worst)) worst = d;
        }
    }
    return worst;
}

}  // namespace

TEST_CASE("the trainer updates as AdamW does, with decay groups and clipping", "[train]") {
    for (const double clip : {0.0, 0.2, 1e6})  // off, always on, never reached
        for (const double decay : {0.0, 5.0})
            for (const MixerInfo& info : mixers()) {
                TrainConfig train = tiny_train();
                train.clip = clip;
                train.weight_decay = decay;
                train.lr = 0.01;
                INFO(info.name << " clip " << clip << " weight decay " << decay);
                CHECK(worst_difference(info.name, train) <= 1e-3);
            }
}

TEST_CASE("adamw matches the formula for counts around its rows", "[train]") {
    for (const Index n : {1, 1023, 1024, 2500}) {
        const auto size = static_cast<std::size_t>(n);
        std::vector<double> w(size), g(size), m(size), v(size);
        for (std::size_t i = 0; i < size; ++i)
            w[i] = std::sin(static_cast<double>(i)), g[i] = std::cos(3.0 * static_cast<double>(i));
        std::vector<double> rw = w, rm = m, rv = v;
        for (Index t = 1; t <= 3; ++t) {
            const double scale = 0.5;
            const AdamWStep s{0.01, 0.9, 0.95, 1e-8, 0.1, host_scalar(scale), t};
            const Shape shape{{'P', n}};
            adamw<double>({}, s, {w.data(), shape}, {g.data(), shape}, {m.data(), shape},
                          {v.data(), shape});
            for (std::size_t i = 0; i < size; ++i) {
                rm[i] = 0.9 * rm[i] + 0.1 * 0.5 * g[i];
                rv[i] = 0.95 * rv[i] + 0.05 * 0.25 * g[i] * g[i];
                const auto power = static_cast<double>(t);
                const double m_hat = rm[i] / (1 - std::pow(0.9, power)),
                             v_hat = rv[i] / (1 - std::pow(0.95, power));
                rw[i] -= 0.01 * (m_hat / (std::sqrt(v_hat) + 1e-8) + 0.1 * rw[i]);
            }
        }
        double worst = 0;
        for (std::size_t i = 0; i < size; ++i)
            if (const double d = std::abs(w[i] - rw[i]); !(d <= worst)) worst = d;
        CHECK(worst <= 1e-13);
    }
}

TEST_CASE(
    "adamw: ranges that decay, rest or have their own rate, any cut, any threads, is one call a "
    "range",
    "[train]") {
    const Index n = 3 * 65536 + 777;
    const auto size = static_cast<std::size_t>(n);
    const std::vector<UpdateRange> ranges{{1, true},
                                          {5, false},
                                          {1024, true},
                                          {1500, true, false},
                                          {65530, false},
                                          {65546, true, true, 3.0},
                                          {2 * 65536, false, true, 0.1},
                                          {n - 9, true},
                                          {n - 3, false}};  // the last three decay
    const double scale = 0.5;
    const AdamWStep s{0.01, 0.9, 0.95, 1e-8, 0.1, host_scalar(scale), 2};
    struct State {
        std::vector<float> w, g, m, v;
    } start{std::vector<float>(size), std::vector<float>(size), std::vector<float>(size, 0.25F),
            std::vector<float>(size, 0.5F)};
    for (std::size_t i = 0; i < size; ++i)
        start.w[i] = std::sin(static_cast<float>(i)), start.g[i] = std::cos(static_cast<float>(i));
    const auto part = [](std::vector<float>& x, Index begin, Index end) {
        return View<float>{x.data() + begin, {{'P', end - begin}}, Device::cpu};
    };
    State want = start;
    Index begin = 0;
    const auto call = [&](const UpdateRange& r) {
        AdamWStep step = s;
        step.lr *= r.lr_scale;
        if (!r.decay) step.weight_decay = 0;
        const Index end = r.end;
        if (r.trained)
            adamw<float>({}, step, part(want.w, begin, end), part(want.g, begin, end),
                         part(want.m, begin, end), part(want.v, begin, end));
        begin = end;
    };
    for (const UpdateRange& r : ranges) call(r);
    call({n, true});
    for (const int threads : {1, 2}) {
        State got = start;
        adamw<float>({Device::cpu, threads}, s, part(got.w, 0, n), part(got.g, 0, n),
                     part(got.m, 0, n), part(got.v, 0, n), ranges);
        CHECK((got.w == want.w));  // in brackets: nobody reads 600,000 printed numbers
        CHECK((got.m == want.m));
        CHECK((got.v == want.v));
    }
}

TEST_CASE("a gradient of scale 0 changes neither values nor state, whatever it is", "[train]") {
    for (const OptimizerInfo& info : optimizers()) {
        INFO(info.name);
        TrainConfig train = tiny_train();
        train.optimizer = info.name, train.weight_decay = 1;
        TinyTrainer t = tiny_trainer("attnres", train);
        t.step(0), t.step(1);
        Optimizer& optimizer = t.trainer->optimizer();
        const auto state = [&] {
            std::vector<float> all;
            for (const StateTensor& s : optimizer.state().tensors()) {
                const View<float> x = optimizer.state().view(s);
                all.insert(all.end(), x.data, x.data + x.count());
            }
            return all;
        };
        const std::vector<float> values = t.params().values(), kept = state();
        const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
            return std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
        };
        const View<float> grads = t.params().flat_grads();
        for (const float gradient : {1.0f, std::numeric_limits<float>::quiet_NaN()}) {
            std::fill_n(grads.data, grads.count(), gradient);
            const double none = 0;
            optimizer.step(t.ctx, t.params(), {0.1, host_scalar(none), 3});
            CHECK(same(t.params().values(), values));
            CHECK(same(state(), kept));
        }
        const double all = 1;
        std::fill_n(grads.data, grads.count(), 1.0f);
        optimizer.step(t.ctx, t.params(), {0.1, host_scalar(all), 3});
        CHECK_FALSE(same(t.params().values(), values));
        CHECK_FALSE(same(state(), kept));
    }
}
