#include "run/run_state.h"

#include "core/check.h"
#include "core/files.h"
#include "mixers/parameter_kind.h"
#include "ops/reduce.h"
#include "run/run_settings.h"
#include "train/divergence.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
namespace {

// As tensors to write (TensorRef) or to read into (TensorTarget).
template <class X>
std::vector<X> weights_of(Trainer& trainer) {
    ParamStore<float>& params = trainer.model().params();
    std::vector<X> tensors;
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        tensors.push_back(
            X::of(params.specs()[static_cast<std::size_t>(i)].name, params.value({i})));
    return tensors;
}

template <class X>
std::vector<X> optimizer_state_of(Trainer& trainer) {
    OptimizerState& state = trainer.optimizer().state();
    std::vector<X> tensors;
    for (const StateTensor& t : state.tensors()) tensors.push_back(X::of(t.name, state.view(t)));
    return tensors;
}

// "v.head.weight is not finite", or "" if nothing is wrong with the numbers.
std::string not_finite(const std::vector<TensorRef>& tensors) {
    for (const TensorRef& t : tensors) {
        Index n = 1;
        for (const Index extent : t.shape) n *= extent;
        if (!all_finite<float>({}, {static_cast<const float*>(t.data), {{'N', n}}}))
            return t.name + " is not finite";
    }
    return "";
}

// The same, or "v.head.weight is negative".
std::string wrong_state(OptimizerState& state, const std::vector<TensorRef>& tensors) {
    if (const std::string wrong = not_finite(tensors); !wrong.empty()) return wrong;
    for (const StateTensor& t : state.tensors()) {
        bool negative = false;
        if (t.squares) for_fetched<float>(state.view(t), [&](float a) { negative |= a < 0; });
        if (negative) return t.name + " is negative";
    }
    return "";
}

nlohmann::json to_json(const RunState& s, const Trainer& trainer, const RunIdentity& identity) {
    return {{"schema", 2},
            {"step", s.step},
            {"tokens", s.step * trainer.tokens_per_step()},
            {"mixer", identity.config.mixer.name},
            {"seed", identity.config.train.seed},
            {"data", identity.data},
            {"settings", number_settings(identity.config)},
            {"best_val_loss", s.best_loss},
            {"best_step", s.best_step},
            {"last_val_loss", s.last_loss},
            {"last_eval", s.last_eval}};
}

// Throws IoError if `state`, of the checkpoint of this folder, is not of the run and the step.
void require_own(const nlohmann::json& state, const fs::path& checkpoint,
                 const RunIdentity& identity) {
    const Config& config = identity.config;
    const auto refuse = [&](const std::string& what) {
        throw IoError(fmt::format("{}: {}", (checkpoint / "state.json").string(), what));
    };
    const long step = state.at("step").get<long>();
    if (step != checkpoint_step(checkpoint))
        refuse(fmt::format("is of step {}, its folder of another", step));
    if (step > config.train.steps)
        refuse(fmt::format("is of step {}, beyond train.steps = {}", step, config.train.steps));
    if (const std::string mixer = state.at("mixer"); mixer != config.mixer.name)
        refuse(fmt::format("is of the mixer {}, not {}", mixer, config.mixer.name));
    if (const long seed = state.at("seed"); seed != config.train.seed)
        refuse(fmt::format("is of seed {}, not {}", seed, config.train.seed));
    if (state.contains("settings")) {  // not in schema 1
        const auto there = state.at("settings").get<std::map<std::string, std::string>>();
        if (const auto other = setting_differences(there, number_settings(config)); !other.empty())
            refuse("is of another config: " + other);
    }
}

RunState read_state(const nlohmann::json& state) {
    RunState s;
    s.step = state.at("step");
    s.best_loss = state.at("best_val_loss");
    s.best_step = state.at("best_step");
    s.last_loss = state.at("last_val_loss");
    s.last_eval = state.at("last_eval");
    return s;
}

}  // namespace

void save_run_state(const fs::path& run, const RunState& state, Trainer& trainer,
                    const RunIdentity& identity) {
    const auto weights = weights_of<TensorRef>(trainer),
               kept = optimizer_state_of<TensorRef>(trainer);
    trainer.check_parameters(state.step);
    if (const std::string wrong = wrong_state(trainer.optimizer().state(), kept); !wrong.empty())
        throw Diverged(fmt::format("step {}: {}", state.step, wrong));
    save_checkpoint(run, state.step, weights, kept, to_json(state, trainer, identity),
                    identity.config.train.keep_checkpoints);
}

void save_best_weights(const fs::path& run, const RunState& state, Trainer& trainer,
                       const RunIdentity& identity) {
    const auto weights = weights_of<TensorRef>(trainer);
    trainer.check_parameters(state.step);
    save_best_checkpoint(run, state.step, weights, to_json(state, trainer, identity));
}

RunState load_run_state(const fs::path& checkpoint, Trainer& trainer, const RunIdentity& identity) {
    const Checkpoint c = load_checkpoint(checkpoint);
    RunState state;
    std::string data;
    try {
        require_own(c.state, checkpoint, identity);
        state = read_state(c.state);
        data = c.state.at("data");
    } catch (const nlohmann::json::exception& e) {
        throw IoError(fmt::format("{}: {}", (checkpoint / "state.json").string(), e.what()));
    }
    if (data != identity.data)
        throw UsageError(fmt::format(
            "{}: was trained on other data; give the data.path of its config.toml, or choose "
            "another --out",
            checkpoint.string()));
    restore_tensors(c.model, weights_of<TensorTarget>(trainer));
    restore_tensors(c.optimizer, optimizer_state_of<TensorTarget>(trainer));
    const auto refuse = [](const SafetensorsFile& file, const std::string& wrong) {
        if (!wrong.empty())
            throw IoError(fmt::format("{} is damaged: {}", file.path().string(), wrong));
    };
    refuse(c.model, not_finite(weights_of<TensorRef>(trainer)));
    refuse(c.optimizer,
           wrong_state(trainer.optimizer().state(), optimizer_state_of<TensorRef>(trainer)));
    return state;
}

LoadedWeights load_weights(const ModelCheckpoint& checkpoint, Trainer& trainer) {
    restore_tensors(checkpoint.model, weights_of<TensorTarget>(trainer),
                    [](const std::string& name) { return !parameter_kind(name).empty(); });
    const auto weights = weights_of<TensorRef>(trainer);
    if (const std::string wrong = not_finite(weights); !wrong.empty())
        throw IoError(fmt::format("{} is damaged: {}", checkpoint.model.path().string(), wrong));
    LoadedWeights loaded{file_sha256(checkpoint.model.path()), {}, checkpoint.model.names()};
    for (const TensorRef& t : weights)
        if (std::erase(loaded.left_out, t.name) == 0) loaded.own.push_back(t.name);
    return loaded;
}

}  // namespace plumb
