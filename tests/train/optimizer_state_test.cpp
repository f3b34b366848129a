// What optimizers keep of parameters, and by what names.
#include "train/optimizer_state.h"

#include "catch.h"
#include "support/tiny_trainer.h"
#include "train/adamw.h"

#include <algorithm>
#include <cstring>

using namespace plumb;
using namespace plumb::test;

TEST_CASE("AdamW keeps two moments of every parameter, as checkpoints have always named them",
          "[train]") {
    TinyTrainer t = tiny_trainer("attnres");
    OptimizerState& state = t.trainer->optimizer().state();
    const auto& specs = t.params().specs();
    REQUIRE(state.tensors().size() == 2 * specs.size());
    for (std::size_t i = 0; i < state.tensors().size(); ++i) {
        const StateTensor& s = state.tensors()[i];
        const bool second = i >= specs.size();
        const ParamSpec& of = specs[i % specs.size()];
        CHECK(s.name == (second ? "v." : "m.") + of.name);
        CHECK(s.shape == of.shape);
        CHECK(s.squares == second);
        CHECK(state.view(s.name).data == state.view(s).data);
    }
    CHECK(state.bytes() == 2.0 * sizeof(float) * static_cast<double>(t.params().flat_size()));
    CHECK_THROWS_WITH(state.view("u.embed.weight"), contains_text("keeps no u.embed.weight"));
}

TEST_CASE("AdamW of some parameters leaves the others alone, and is that of all on its own",
          "[train]") {
    for (const int every : {1, 2, 3}) {  // one run of all; runs of one; runs of two
        TinyTrainer t = tiny_trainer("mhc");
        const auto& specs = t.params().specs();
        const auto takes = [&](const ParamSpec& s) {
            const auto i = static_cast<int>(&s - specs.data());
            return every == 1 || (every == 2 ? i % 2 == 0 : i % 3 != 0);
        };
        t.step(0);  // for its gradients
        std::vector<UpdateRange> ranges;
        for (const ParamSpec& s : specs)
            ranges.push_back(
                {s.offset + s.shape.count(), s.decay, true, s.group == Group::mixer ? 3.0 : 1.0});
        const std::vector<float> start = t.params().values();
        const auto after = [&](const std::function<bool(const ParamSpec&)>& mine) {
            OptimizerState state;
            const double half = 0.5;
            const AdamWPart part({specs, ranges, tiny_train()}, state, mine);
            state.allocate();
            std::copy(start.begin(), start.end(), t.params().flat_values().data);
            for (Index step = 1; step <= 3; ++step)
                part.step({}, t.params(), state, {0.01, host_scalar(half), step});
            return t.params().values();
        };
        const std::vector<float> all = after([](const ParamSpec&) { return true; }),
                                 some = after(takes);
        for (const ParamSpec& s : specs) {
            INFO(s.name << ", every " << every);
            const std::vector<float>& want = takes(s) ? all : start;
            CHECK(std::memcmp(some.data() + s.offset, want.data() + s.offset,
                              4 * static_cast<std::size_t>(s.shape.count())) == 0);
        }
        CHECK(all != start);
    }
}

TEST_CASE("an optimizer that is none is refused, and the nearest is named", "[train]") {
    CHECK(find_optimizer("adamw").name == "adamw");
    CHECK_THROWS_WITH(find_optimizer("adamv"),
                      contains_text("unknown optimizer 'adamv'; did you mean 'adamw'?"));
}
