// Interventions on the walk: what people type, and what it does with every mixer.
#include "model/interventions.h"

#include "check/tiny_model.h"
#include "support/every_mixer.h"
#include "support/interventions.h"

#include <set>

using namespace plumb;
using namespace plumb::test;

namespace {

void refuses(void (*add)(Interventions&, const std::string&), const std::string& text,
             const std::string& mentions) {
    Interventions what(8);
    INFO(text);
    CHECK_THROWS_WITH(add(what, text), contains_text(mentions));
}

}  // namespace

TEST_CASE("drops, gains, swaps and masks match PyTorch with every mixer", "[model][oracle]") {
    CHECK(worst_against_oracle<double>(Device::cpu) <= 1e-12);
    CHECK(worst_against_oracle<float>(Device::cpu) <= 1e-4);
}

TEST_CASE("interventions are read as typed", "[model]") {
    CHECK(parse_depths("3,1-2,layer.2,embed", 8, "--drop", true) ==
          std::vector<int>{3, 1, 2, 5, 6, 0});
    CHECK(parse_depths("all", 4, "--drop", false) == std::vector<int>{1, 2, 3, 4});
    Interventions what(8);
    add_drop(what, "layer.1.mlp,2");
    add_gain(what, "layer.0=0.5");
    CHECK(what.gain == std::vector<double>{1, 0.5, 0, 1, 0, 1, 1, 1, 1});
    add_swap(what, "layer.0,layer.3");
    CHECK(what.order == std::vector<int>{7, 8, 3, 4, 5, 6, 1, 2});
    add_swap(what, "1,2");
    CHECK(what.order == std::vector<int>{8, 7, 3, 4, 5, 6, 1, 2});

    CHECK(!what.masks());
    add_mask(what, "embed");
    CHECK(!what.masks(1));  // its only source stays
    for (int l = 2; l <= 9; ++l)
        CHECK((what.masks(l) && what.masked[static_cast<std::size_t>(l - 1)][0]));
    Interventions some(8);
    add_mask(some, "layer.1.attn:1,output:7-8");
    CHECK(some.masked[2] == std::vector<bool>{false, true, false});
    CHECK(std::count(some.masked[8].begin(), some.masked[8].end(), true) == 2);
    for (int l = 1; l <= 9; ++l) CHECK(some.masks(l) == (l == 3 || l == 9));
}

TEST_CASE("interventions on what is not there are refused by name", "[model]") {
    refuses(add_drop, "9", "'9' is not one of 0 to 8");
    refuses(add_drop, "layer.4", "layer.4");
    refuses(add_drop, "output", "output");
    refuses(add_drop, "", "''");
    refuses(add_drop, "5-3", "5-3");
    refuses(add_gain, "3", "--gain 5=0.5");
    refuses(add_gain, "3=x", "--gain 5=0.5");
    refuses(add_swap, "3", "two sublayers");
    refuses(add_swap, "3,layer.1", "1 sublayers cannot take the place of 2");
    refuses(add_swap, "0,1", "'0'");
    refuses(add_mask, "3:3", "before source 3");
    refuses(add_mask, "1:0", "leaves nothing for read 1");
    refuses(add_mask, "4:0-3", "leaves nothing for read 4");
    refuses(add_mask, "10:0", "'10'");
}

TEST_CASE("random controls match in count, read by read, and depend on seed and draw", "[model]") {
    Interventions what(8);
    add_mask(what, "2,output:0-4");
    add_drop(what, "3-4");
    add_gain(what, "7=0.5");
    add_swap(what, "1,2");
    std::set<std::vector<std::vector<bool>>> masks;
    std::set<std::vector<double>> gains;
    for (int draw = 0; draw < 20; ++draw) {
        const Interventions control = random_control(what, 1, draw);
        for (std::size_t r = 0; r < what.masked.size(); ++r)
            CHECK(std::count(control.masked[r].begin(), control.masked[r].end(), true) ==
                  std::count(what.masked[r].begin(), what.masked[r].end(), true));
        CHECK(std::count(control.gain.begin(), control.gain.end(), 0.0) == 2);
        CHECK((control.gain[0] == 1 && control.gain[7] == 0.5 && control.order == what.order));
        masks.insert(control.masked);
        gains.insert(control.gain);
        CHECK(random_control(what, 1, draw).masked == control.masked);
    }
    CHECK(masks.size() > 15);
    CHECK(gains.size() > 8);  // of 21 pairs
    CHECK(random_control(what, 2, 0).masked != random_control(what, 1, 0).masked);
}

TEST_CASE("a network without interventions is what it was before them", "[model]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo&) {
        const auto model = tiny_model<float>(config);
        perturb(model->params(), 0.2, 2);
        const double before = model->forward({});
        Interventions what(model->sublayers());
        model->intervene(&what);
        CHECK(model->forward({}) == before);
        CHECK_THROWS_AS(model->backward({}), InternalError);
        add_mask(what, "2");
        add_drop(what, "1");
        model->intervene(&what);
        CHECK(model->forward({}) != before);
        model->intervene(nullptr);
        CHECK(model->forward({}) == before);
        model->backward({});
    });
}

TEST_CASE("interventions give the same bits for one and two threads, and act in bf16", "[model]") {
    ModelConfig shape = tiny_config();
    shape.context = 70;
    for_every_setting([&](const MixerConfig& config, const MixerInfo&) {
        Interventions what(4);
        add_mask(what, "1");
        add_gain(what, "2=0.5");
        const auto loss = [&](int threads, auto model) {
            perturb(model->params(), 0.1, 2);
            model->intervene(&what);
            return model->forward({Device::cpu, threads});
        };
        const double one = loss(1, tiny_model<float>(config, 1, shape));
        CHECK(one == loss(2, tiny_model<float>(config, 1, shape)));
        CHECK(std::abs(loss(1, tiny_model<Bf16>(config, 1, shape)) / one - 1) <= 1e-2);
    });
}
