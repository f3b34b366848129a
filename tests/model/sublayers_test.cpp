// What the table of sublayers promises of every row with each of its settings. Against the oracle:
// oracle_test; decoding: decoder_test.
#include "model/sublayers.h"

#include "check/compare.h"
#include "support/check_message.h"
#include "support/every_sublayer.h"
#include "support/param_gradients.h"

#include <set>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("the table of sublayers", "[model]") {
    std::set<std::string> settings;
    for (const FieldInfo& f : fields()) settings.insert(f.key);
    for (const SublayerInfo& info : sublayers()) {
        INFO(info.name);
        CHECK(find_sublayer(info.name).title == info.title);
        CHECK((!info.paper.empty() && !info.definition.empty()));
        REQUIRE(!info.test_settings.empty());
        for (const auto& overrides : info.test_settings)
            CHECK(tiny_model_with(overrides).has(info.name));
        for (const std::string& key : info.settings) CHECK(settings.contains("model." + key));
        for (const Option& o : info.options) CHECK(settings.contains(info.name + "." + o.name));
    }
    CHECK_THROWS_WITH(find_sublayer("atn"), contains_text("did you mean 'attn'"));
    // Every kind that a layout gives is a row.
    const Layout layout = tiny_config().layout();
    for (int l = 1; l <= layout.sublayers(); ++l) CHECK_NOTHROW(find_sublayer(layout.kind(l)));
}

TEST_CASE("a sublayer's weights are those its costs count", "[model]") {
    for_every_sublayer_setting([](const ModelConfig& model, const SublayerInfo&) {
        const auto whole = tiny_model<float>(mixer_config("standard"), 1, model);
        const Layout& layout = whole->layout();
        for (int l = 1; l <= layout.sublayers(); ++l) {
            INFO(layout.name(l));
            Index n = 0;
            for (const ParamSpec& spec : whole->params().specs())
                if (spec.name.starts_with(layout.name(l) + ".") && spec.shape.rank() == 2)
                    n += spec.shape.count();
            for (const MatrixProduct& p :
                 find_sublayer(layout.kind(l)).costs(whole->config()).products) {
                const ParamId id = whole->params().find(layout.name(l) + "." + p.name + ".weight");
                CHECK((whole->params().value(id).shape == Shape{{'O', p.out}, {'I', p.in}}));
                n -= p.out * p.in;
            }
            CHECK(n == 0);
        }
    });
}

TEST_CASE("gradients of every sublayer match central differences", "[model]") {
    for_every_sublayer_setting([](const ModelConfig& config, const SublayerInfo&) {
        const auto model = tiny_model<double>(mixer_config("attnres"), 1, config);
        auto& params = model->params();
        perturb(params, 0.2, 2);
        model->forward({});
        params.zero_grad();
        model->backward({});
        check_param_gradients(params, [&] { return model->forward({}); });
    });
}

TEST_CASE("no sublayer sees a later token", "[model]") {
    for_every_sublayer_setting([](const ModelConfig& config, const SublayerInfo&) {
        const auto model = tiny_model<double>(mixer_config("standard"), 1, config);
        perturb(model->params(), 0.2, 2);
        model->forward({});
        const auto logits = numbers(model->logits());
        const std::vector<double> before(logits.begin(), logits.end());
        const Index last = config.context - 1;  // of the first sequence
        model->tokens().data[last] = (model->tokens().data[last] + 1) % kTinyVocab;
        model->forward({});
        bool changed = false;
        for (std::size_t i = 0; i < before.size(); ++i) {
            const bool same = logits[i] == before[i];
            if (static_cast<Index>(i) / kTinyVocab == last)
                changed = changed || !same;
            else
                CHECK(same);
        }
        CHECK(changed);
    });
}

namespace {

// Logits of the last position of the first sequence, whose tokens i and j changed places.
std::vector<double> last_logits(const std::vector<std::string>& overrides, Index i, Index j) {
    const auto model = tiny_model<double>(mixer_config("standard"), 1, tiny_model_with(overrides));
    perturb(model->params(), 0.2, 2);
    for (Index n = 0; n < model->config().context; ++n)
        model->tokens().data[n] = static_cast<std::int32_t>(n % kTinyVocab);
    std::swap(model->tokens().data[i], model->tokens().data[j]);
    model->forward({});
    const double* row = model->logits().row(model->config().context - 1);
    return {row, row + kTinyVocab};
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
    return relative_error(std::span(a), std::span(b));
}

}  // namespace

TEST_CASE("without RoPE one attention sees earlier tokens as a set", "[model]") {
    const std::vector<std::string> one{"model.layers=1"}, none{"model.layers=1", "attn.rope=none"};
    CHECK(distance(last_logits(none, 0, 1), last_logits(none, 1, 1)) <= 1e-13);
    CHECK(distance(last_logits(none, 0, 9), last_logits(none, 1, 1)) > 1e-3);  // the last token
    CHECK(distance(last_logits(one, 0, 1), last_logits(one, 1, 1)) > 1e-3);
}

TEST_CASE("a value residual starts as none, and the first attention has no number", "[model]") {
    const auto mixer = mixer_config("standard");
    const auto with = tiny_model<double>(mixer, 1, tiny_model_with({"attn.value_residual=true"}));
    const auto without = tiny_model<double>(mixer, 1, tiny_model_with({}));
    CHECK(with->forward({}) == without->forward({}));
    CHECK(with->params().n_params() == without->params().n_params() + 1);  // of two attentions
    View<double> of = with->params().value(with->params().find("layer.1.attn.first_values"));
    REQUIRE((of.count() == 1 && of.data[0] == 0));
    of.data[0] = 1;
    CHECK(with->forward({}) != without->forward({}));
}
