#include "run/warnings.h"

#include "catch.h"
#include "run/remaining_time.h"

using namespace plumb;

namespace {

// The warnings of a small Markov run with these settings.
std::vector<std::string> warned(std::vector<std::string> settings, Index mixer_params = 5) {
    settings.insert(settings.begin(), {"data.task=markov", "model.context=16", "train.steps=100",
                                       "train.warmup=10", "train.eval_sequences=8"});
    const Config config = load_config("", settings).config;
    return config_warnings(config, *open_dataset(config.data, 16), mixer_params);
}

void check_warned(const std::vector<std::string>& settings, const std::string& text) {
    const auto list = warned(settings);
    INFO(fmt::format("{}: {}", fmt::join(settings, " "), fmt::join(list, " | ")));
    REQUIRE(list.size() == 1);
    CHECK_THAT(list.front(), contains_text(text));
}

}  // namespace

TEST_CASE("a config that is meant is not warned of") {
    CHECK(warned({}).empty());
    CHECK(warned({"mixer=hyper", "mixer.lr_scale=100"}).empty());
    CHECK(warned({"train.schedule=wsd", "train.decay_fraction=0.9"}).empty());
    CHECK(warned({"train.eval_sequences=1024"}).empty());
    CHECK(warned({"train.steps=1", "train.warmup=1"}).empty());
    CHECK(warned({"train.warmup=50"}).empty());
}

TEST_CASE("what is legal and surely not meant is said once, with its values") {
    check_warned({"train.lr=100", "train.weight_decay=0"}, "train.lr=100 is very large");
    check_warned({"mixer=hyper", "mixer.lr_scale=5000"}, "mixer.lr_scale=5000");
    check_warned({"train.lr=0.05", "train.weight_decay=30"}, "train.weight_decay=30");
    check_warned({"train.optimizer=muon", "train.muon_lr=0.5", "train.weight_decay=3"},
                 "train.muon_lr=0.5 times train.weight_decay=3");
    check_warned({"train.warmup=200"}, "never gets beyond 0.5 of train.lr=0.001");
    check_warned({"train.warmup=51"}, "train.warmup=51 is more than half of the 100 steps");
    check_warned({"train.schedule=wsd", "train.decay_fraction=1"}, "reaches into the 10 steps");
    check_warned({"train.eval_sequences=1025"}, "has 1,024 sequences of 16 tokens");
    check_warned({"record.probe_sequences=1025"}, "all of them are measured");
    check_warned({"train.patience=10", "train.eval_every=10"}, "train.patience=10 never ends");
    CHECK_THAT(warned({"mixer.lr_scale=2"}, 0).at(0), contains_text("standard learns no param"));
}

TEST_CASE("the time that remains counts validations, probes and the whole split") {
    TrainConfig train;
    train.steps = 100;
    train.eval_every = 30;
    RecordConfig record;
    record.probe_every = 50;
    const Pace pace{.step = 1, .validation = 10, .probe = 100, .split = 1000};
    CHECK(remaining_seconds(train, record, 0, pace) == 100 + 4 * 10 + 2 * 100 + 1000);
    CHECK(remaining_seconds(train, record, 30, pace) == 70 + 3 * 10 + 2 * 100 + 1000);
    CHECK(remaining_seconds(train, record, 50, pace) == 50 + 3 * 10 + 1 * 100 + 1000);
    CHECK(remaining_seconds(train, record, 99, pace) == 1 + 10 + 100 + 1000);
    CHECK(remaining_seconds(train, record, 100, pace) == 1000);
    record.probe_every = 0;
    CHECK(remaining_seconds(train, record, 90, pace) == 10 + 10 + 1000);
    MeanTime mean;
    CHECK(mean.mean() == 0);
    mean.add(1), mean.add(2);
    CHECK(mean.mean() == 1.5);
}
