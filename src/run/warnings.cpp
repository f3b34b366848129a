#include "run/warnings.h"

#include "core/text.h"
#include "data/token_meta.h"
#include "train/checkpoint.h"
#include "train/schedule.h"

#include <algorithm>

namespace plumb {
namespace {

// AdamW moves a number by about the rate in each step, whatever the gradient; weights start at
// about init_std. From here on every weight is noise.
constexpr double kLargeRate = 0.1, kLargeMixerRate = 1.0;

void warn_of_rate(const Config& c, std::vector<std::string>& out) {
    const TrainConfig& t = c.train;
    if (t.lr >= kLargeRate)
        out.push_back(fmt::format(
            "train.lr={} is very large: AdamW moves each weight by about that much in every step, "
            "and weights start at about {}; usual are 0.0001 to 0.01",
            t.lr, c.model.init_std));
    else if (t.lr * c.mixer.lr_scale >= kLargeMixerRate)
        out.push_back(
            fmt::format("train.lr={} times mixer.lr_scale={} is very large: each mixer "
                        "parameter moves by about {} in every step",
                        t.lr, c.mixer.lr_scale, t.lr * c.mixer.lr_scale));
    const double rate = std::max(t.lr, t.options.number("muon_lr"));
    if (rate * t.weight_decay >= 1)
        out.push_back(
            fmt::format("{}={} times train.weight_decay={} is 1 or more: every "
                        "step decays the weights to nothing or beyond",
                        rate > t.lr ? "train.muon_lr" : "train.lr", rate, t.weight_decay));
}

void warn_of_schedule(const TrainConfig& t, std::vector<std::string>& out) {
    if (t.warmup >= t.steps && t.warmup > 1)
        out.push_back(fmt::format(
            "train.warmup={} is not over when the run ends after {} steps: the learning rate "
            "never gets beyond {:.3g} of train.lr={}; usual is train.warmup={}",
            t.warmup, t.steps, learning_rate(t, t.steps - 1) / t.lr, t.lr,
            std::max(1L, t.steps / 10)));
    else if (t.warmup > 1 && 2 * t.warmup > t.steps)
        out.push_back(fmt::format(
            "train.warmup={} is more than half of the {} steps: most of the run has a smaller "
            "learning rate than train.lr={}; usual is train.warmup={}",
            t.warmup, t.steps, t.lr, std::max(1L, t.steps / 10)));
    else if (t.schedule == "wsd" &&
             static_cast<double>(t.warmup) + t.decay_fraction * static_cast<double>(t.steps) >
                 static_cast<double>(t.steps))
        out.push_back(fmt::format(
            "train.decay_fraction={} of {} steps reaches into the {} steps of warm-up: the decay "
            "begins where the warm-up ends, and nothing is stable between them",
            t.decay_fraction, t.steps, t.warmup));
}

void warn_of_sequences(const Config& c, const Dataset& data, std::vector<std::string>& out) {
    const Index there = data.val_sequences();
    const auto compare = [&](const char* key, long wanted, const char* use) {
        if (wanted > there)
            out.push_back(
                fmt::format("{}={}, but the validation split has {} sequences of {} "
                            "tokens: all of them are {}",
                            key, wanted, thousands(there), c.model.context, use));
    };
    compare("train.eval_sequences", c.train.eval_sequences, "scored");
    if (c.record.probe_every > 0)
        compare("record.probe_sequences", c.record.probe_sequences, "measured");
}

// The shapes fit, so nothing else would say it.
void warn_of_tokenizer(const Config& c, const Dataset& data, std::vector<std::string>& out) {
    if (c.train.init_from.empty()) return;
    const auto folder = parse_checkpoint_name(c.train.init_from).run / "data";
    const auto there = text_meta(folder);
    const auto here = data.tokenizer();
    if (!there || !here || there->tokenizer == *here) return;
    out.push_back(fmt::format(
        "train.init_from={} was trained with another tokenizer ({}) than that of {} ({}): its "
        "embedding begins with the meaning of other tokens{}",
        c.train.init_from, there->tokenizer.describe(), data.describe(), here->describe(),
        there->tokenizer.files().empty()
            ? ""
            : "; prepare the data with --tokenizer " + shell_quoted("gpt2:" + folder.string())));
}

}  // namespace

std::vector<std::string> config_warnings(const Config& c, const Dataset& data, Index mixer_params) {
    std::vector<std::string> out;
    warn_of_rate(c, out);
    warn_of_schedule(c.train, out);
    warn_of_sequences(c, data, out);
    warn_of_tokenizer(c, data, out);
    if (mixer_params == 0 && c.mixer.lr_scale != 1)
        out.push_back(fmt::format("mixer.lr_scale={} has no effect: {} learns no parameters",
                                  c.mixer.lr_scale, c.mixer.name));
    if (c.train.patience > 0 && c.train.patience * c.train.eval_every >= c.train.steps)
        out.push_back(fmt::format(
            "train.patience={} never ends the run: {} validations, one every {} steps, are more "
            "than {} steps have",
            c.train.patience, c.train.patience, c.train.eval_every, c.train.steps));
    return out;
}

}  // namespace plumb
