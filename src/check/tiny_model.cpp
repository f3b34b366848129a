#include "check/tiny_model.h"

#include "check/compare.h"
#include "check/toy_stack.h"
#include "core/rng.h"
#include "mixers/parameter_kind.h"

namespace plumb {
namespace {

const Context kContext;

template <class Real>
double pass(Transformer<Real>& model) {
    model.params().zero_grad();
    const double loss = model.forward(kContext);
    model.backward(kContext);
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
    const auto of = [&](const std::string& parameter) {
        return numbers(model.params().grad(model.params().find(parameter)));
    };
    std::vector<RealOf<A>> sum(of(name).begin(), of(name).end());
    for (const char* way : {".norm_k.gain", ".norm_v.gain"}) {
        if (!name.ends_with(".norm.gain")) break;
        const std::string more = name.substr(0, name.rfind(".norm.gain")) + way;
        if (!has(model, more) || has(other, more)) continue;
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of(more)[i];
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
    a.forward(kContext);
    b.forward(kContext);
    const double logits = relative_error(numbers(a.logits()), numbers(b.logits()));
    pass(a);
    pass(b);
    return worse(logits, gradient_difference(b, a, Group::model));
}

double difference_to_standard(const MixerConfig& mixer) {
    const auto model = tiny_model<double>(mixer, 1, tiny_config(1e-30));
    const auto standard = tiny_model<double>(mixer_config("standard"), 1, tiny_config(1e-30));
    return model_difference(*model, *standard);
}

double causality_error(const MixerConfig& mixer) {
    const auto model = tiny_model<double>(mixer);
    perturb(model->params(), 0.2, 2);
    model->forward(kContext);
    const auto logits = numbers(model->logits());
    const std::vector<double> before(logits.begin(), logits.end());
    const Index context = model->config().context;
    double leak = 0, effect = 0;
    for (Index t = 0; t < context; ++t) {
        std::int32_t& token = model->tokens().host().data[t];  // of sequence 0
        const std::int32_t old = token;
        token = (old + 1) % static_cast<std::int32_t>(kTinyVocab);
        model->forward(kContext);
        token = old;
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

std::vector<std::string> unmoved_parameters(const MixerConfig& mixer, int steps) {
    const auto model = tiny_model<double>(mixer);
    auto& params = model->params();
    const std::vector<double> start = params.values();
    for (int step = 0; step < steps; ++step) {
        pass(*model);
        const View<double> values = params.flat_values().host(), grads = params.flat_grads().host();
        for (Index i = 0; i < values.count(); ++i) values.data[i] -= 0.1 * grads.data[i];
    }
    std::vector<std::string> names;
    const std::vector<double> end = params.values();
    for (const ParamSpec& spec : params.specs()) {
        const auto begin = start.begin() + spec.offset;
        if (std::equal(begin, begin + spec.shape.count(), end.begin() + spec.offset))
            names.push_back(spec.name);
    }
    return names;
}

double float_error(const MixerConfig& mixer) {
    const auto exact = tiny_model<double>(mixer);
    const auto rounded = tiny_model<float>(mixer);
    perturb(exact->params(), 0.2, 2);
    perturb(rounded->params(), 0.2, 2);
    const double want = pass(*exact), got = pass(*rounded);
    return worse(std::abs(got - want) / want, gradient_difference(*rounded, *exact, {}));
}

double bf16_error(const MixerConfig& mixer) {
    ModelConfig config = tiny_config();
    config.init_std = 0.1;
    const auto exact = tiny_model<double>(mixer, 1, config);
    const auto rounded = tiny_model<Bf16>(mixer, 1, config);
    perturb(exact->params(), 0.05, 2);
    perturb(rounded->params(), 0.05, 2);
    const double want = pass(*exact), got = pass(*rounded);
    double error = 0, size = 0;
    for (Index k = 0; k < std::ssize(exact->params().specs()); ++k) {
        const auto x = numbers(exact->params().grad({k}));
        const auto y = numbers(rounded->params().grad({k}));
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
