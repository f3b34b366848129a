#include "check/tiny_model.h"

#include "check/compare.h"
#include "check/toy_stack.h"
#include "core/rng.h"
#include "mixers/parameter_kind.h"

#include <map>

namespace plumb {
namespace {

// Where a model is.
template <class T>
Context context_of(const Transformer<T>& model) {
    return {.device = model.plan().device()};
}

template <class T>
double pass(Transformer<T>& model) {
    model.params().zero_grad();
    const double loss = model.forward(context_of(model));
    model.backward(context_of(model));
    return loss;
}

template <class Model>
bool has(const Model& model, const std::string& name) {
    const auto& specs = model.params().specs();
    return std::any_of(specs.begin(), specs.end(),
                       [&](const ParamSpec& spec) { return spec.name == name; });
}

// Gradient of a parameter. The norms of an attention's ways that `other` does not have are in its
// one norm.
template <class A, class B>
auto gradient(Transformer<A>& model, const Transformer<B>& other, const std::string& name) {
    using Real = RealOf<A>;
    const auto of = [&](const std::string& parameter) {
        return fetch<Real>(model.params().grad(model.params().find(parameter)));
    };
    std::vector<Real> sum = of(name);
    for (const char* way : {".norm_k.gain", ".norm_v.gain"}) {
        if (!name.ends_with(".norm.gain")) break;
        const std::string more = name.substr(0, name.rfind(".norm.gain")) + way;
        if (!has(model, more) || has(other, more)) continue;
        const std::vector<Real> of_way = of(more);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of_way[i];
    }
    return sum;
}

// Gradients of parameters that both models have. The only weight of a read stands in front of a
// norm that removes it, and its gradient all but cancels: it is measured by the largest of its
// kind.
template <class A, class B>
double gradient_difference(Transformer<A>& a, Transformer<B>& b, std::optional<Group> group) {
    double error = 0;
    for (const ParamSpec& spec : a.params().specs()) {
        if (group && spec.group != *group) continue;
        double floor = 0;
        if (is_only_weight(spec))
            for (const ParamSpec& other : b.params().specs())
                if (parameter_kind(other.name) == parameter_kind(spec.name))
                    for (const auto x : gradient(b, a, other.name))
                        floor = std::max(floor, std::abs(static_cast<double>(x)));
        const auto got = gradient(a, b, spec.name);
        const auto want = gradient(b, a, spec.name);
        error = worse(error, relative_error(std::span(got), std::span(want), floor));
    }
    return error;
}

}  // namespace

ModelConfig tiny_config(double norm_eps) {
    ModelConfig m;
    m.layers = 2;
    m.width = 12;
    m.heads = 2;
    m.mlp_hidden = 16;
    m.context = 10;
    m.init_std = 0.3;  // attention and MLP far from linear
    m.norm_eps = norm_eps;
    return m;
}

template <class T>
std::unique_ptr<Transformer<T>> tiny_model(const MixerConfig& mixer, std::uint64_t seed,
                                           const ModelConfig& model, Device device) {
    auto m = std::make_unique<Transformer<T>>(
        TransformerShape{model, mixer, kTinyVocab, kTinyBatch, 2, 0, device});
    m->allocate(seed);
    const CounterRng tokens(seed, "tiny/tokens"), targets(seed, "tiny/targets");
    std::vector<std::int32_t> in, out;
    for (Index n = 0; n < m->tokens().count(); ++n) {
        const auto k = static_cast<std::uint64_t>(n);
        in.push_back(static_cast<std::int32_t>(tokens.below(k, kTinyVocab)));
        out.push_back(n % 5 == 4 ? -1 : static_cast<std::int32_t>(targets.below(k, kTinyVocab)));
    }
    put(m->tokens(), in.data());
    put(m->targets(), out.data());
    return m;
}

double model_difference(Transformer<double>& a, Transformer<double>& b) {
    a.forward(context_of(a));
    b.forward(context_of(b));
    const std::vector<double> of_a = fetch(a.logits()), of_b = fetch(b.logits());
    const double logits = relative_error(std::span(of_a), std::span(of_b));
    pass(a);
    pass(b);
    return worse(logits, gradient_difference(b, a, Group::model));
}

double difference_to_standard(const MixerConfig& mixer, Device device) {
    const auto model = tiny_model<double>(mixer, 1, tiny_config(1e-30), device);
    const auto standard =
        tiny_model<double>(mixer_config("standard"), 1, tiny_config(1e-30), device);
    return model_difference(*model, *standard);
}

double causality_error(const MixerConfig& mixer, Device device) {
    const auto model = tiny_model<double>(mixer, 1, tiny_config(), device);
    perturb(model->params(), 0.2, 2);
    const auto logits_of = [&](const std::vector<std::int32_t>& tokens) {
        put(model->tokens(), tokens.data());
        model->forward(context_of(*model));
        return fetch(model->logits());
    };
    const std::vector<std::int32_t> tokens = fetch<std::int32_t>(model->tokens());
    const std::vector<double> before = logits_of(tokens);
    const Index context = model->config().context;
    double leak = 0, effect = 0;
    for (Index t = 0; t < context; ++t) {  // of sequence 0
        std::vector<std::int32_t> changed = tokens;
        std::int32_t& token = changed[static_cast<std::size_t>(t)];
        token = (token + 1) % static_cast<std::int32_t>(kTinyVocab);
        const std::vector<double> logits = logits_of(changed);
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const Index n = static_cast<Index>(i) / kTinyVocab;
            const bool may_change = n >= t && n < context;
            double& error = may_change ? effect : leak;
            error = worse(error, std::abs(logits[i] - before[i]));
        }
    }
    require(effect > 0, "changing a token changes no logit");
    return leak;
}

std::vector<std::string> unmoved_parameters(const MixerConfig& mixer, int steps, Device device) {
    const auto model = tiny_model<double>(mixer, 1, tiny_config(), device);
    auto& params = model->params();
    const std::vector<double> start = params.values();
    std::vector<double> end = start;
    for (int step = 0; step < steps; ++step) {
        pass(*model);
        const std::vector<double> grads = params.grads();
        for (std::size_t i = 0; i < end.size(); ++i) end[i] -= 0.1 * grads[i];
        put(params.flat_values(), end.data());
    }
    std::vector<std::string> names;
    for (const ParamSpec& spec : params.specs()) {
        const auto begin = start.begin() + spec.offset;
        if (std::equal(begin, begin + spec.shape.count(), end.begin() + spec.offset))
            names.push_back(spec.name);
    }
    return names;
}

namespace {

// In T on a device against double on the CPU.
template <class T>
double error_of(const MixerConfig& mixer, Device device) {
    const auto exact = tiny_model<double>(mixer);
    const auto other = tiny_model<T>(mixer, 1, tiny_config(), device);
    perturb(exact->params(), 0.2, 2);
    perturb(other->params(), 0.2, 2);
    const double want = pass(*exact), got = pass(*other);
    return worse(std::abs(got - want) / want, gradient_difference(*other, *exact, {}));
}

}  // namespace

double float_error(const MixerConfig& mixer, Device device) {
    return error_of<float>(mixer, device);
}

double device_error(const MixerConfig& mixer, Device device) {
    return error_of<double>(mixer, device);
}

namespace {

// v_l and h_l of a forward.
class Rows final : public Recorder<double> {
public:
    void tensor(const Context&, Quantity what, int l, View<const double> x) override {
        if (what == Quantity::output) v_[l] = fetch(x);
        if (what == Quantity::read_input) h_[l] = fetch(x);
    }
    // Of token n, C numbers.
    const double* v(int l, Index n, Index c) const { return v_.at(l).data() + n * c; }
    const double* h(int l, Index n, Index c) const { return h_.at(l).data() + n * c; }

private:
    std::map<int, std::vector<double>> v_, h_;  // (N, C)
};

}  // namespace

double model_matrix_error(const MixerConfig& mixer, Device device) {
    const auto model = tiny_model<double>(mixer, 1, tiny_config(), device);
    perturb(model->params(), 0.2, 2);
    Rows rows;
    model->forward(context_of(*model), &rows);
    const DepthMatrix<double>& of = model->mixer();
    const auto matrices = of.matrices(context_of(*model).in(model->frame()));
    const Index c = of.shape().channels;
    double error = 0;
    for (Index n = 0; n < of.shape().tokens; ++n)
        error = worse(error,
                      matrix_error<double>(
                          depth_matrix(of, matrices, n), of, [&](int i) { return rows.v(i, n, c); },
                          [&](int l) { return rows.h(l, n, c); }));
    return error;
}

double bf16_error(const MixerConfig& mixer, Device device) {
    ModelConfig config = tiny_config();
    config.init_std = 0.1;
    const auto exact = tiny_model<double>(mixer, 1, config);
    const auto rounded = tiny_model<Bf16>(mixer, 1, config, device);
    perturb(exact->params(), 0.05, 2);
    perturb(rounded->params(), 0.05, 2);
    const double want = pass(*exact), got = pass(*rounded);
    double error = 0, size = 0;
    for (Index k = 0; k < std::ssize(exact->params().specs()); ++k) {
        const std::vector<double> x = fetch<double>(exact->params().grad({k}));
        const std::vector<float> y = fetch<float>(rounded->params().grad({k}));
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double d = x[i] - static_cast<double>(y[i]);
            error += d * d, size += x[i] * x[i];
        }
    }
    return worse(std::abs(got - want) / want, std::sqrt(error / size));
}

template std::unique_ptr<Transformer<Bf16>> tiny_model(const MixerConfig&, std::uint64_t,
                                                       const ModelConfig&, Device);
template std::unique_ptr<Transformer<float>> tiny_model(const MixerConfig&, std::uint64_t,
                                                        const ModelConfig&, Device);
template std::unique_ptr<Transformer<double>> tiny_model(const MixerConfig&, std::uint64_t,
                                                         const ModelConfig&, Device);

}  // namespace plumb
