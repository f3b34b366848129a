#include "run/start_weights.h"

#include "core/text.h"
#include "mixers/parameter_kind.h"
#include "train/checkpoint.h"

#include <map>

namespace plumb {
namespace fs = std::filesystem;
namespace {

using Shapes = std::map<std::string, std::vector<Index>>;  // by name, without the mixer's

ModelCheckpoint load_start(const CheckpointName& name) {
    try {
        return load_model(name);
    } catch (const IoError& e) {
        throw IoError(fmt::format("--init-from {}: {}", name.text(), e.what()));
    }
}

bool of_mixer(const std::string& tensor) { return !parameter_kind(tensor).empty(); }

Shapes shapes_of(Model<float>& model) {
    Shapes shapes;
    for (Index i = 0; i < std::ssize(model.params().specs()); ++i) {
        const ParamSpec& spec = model.params().specs()[static_cast<std::size_t>(i)];
        if (of_mixer(spec.name)) continue;
        std::vector<Index>& shape = shapes[spec.name];
        for (int axis = 0; axis < spec.shape.rank(); ++axis)
            shape.push_back(spec.shape.extent(axis));
    }
    return shapes;
}

Shapes shapes_of(const SafetensorsFile& file) {
    Shapes shapes;
    for (const std::string& name : file.names())
        if (!of_mixer(name)) shapes[name] = file.shape(name);
    return shapes;
}

// As it is typed behind key=.
std::string without_quotes(const std::string& toml) {
    return toml.size() >= 2 && toml.front() == '"' ? toml.substr(1, toml.size() - 2) : toml;
}

// With this value of this setting the network of `run` would have other shapes, or be none.
bool shapes_network(const fs::path& run, const std::string& setting, const Shapes& shapes,
                    Index vocab) {
    try {
        const Config c = load_run_config(run, {setting}).config;
        return shapes_of(*make_model({c.model, c.mixer, vocab, 1, 1}, "fp32")) != shapes;
    } catch (const UsageError&) {
        return true;
    }
}

Index vocab_of(const Shapes& shapes) {
    const auto embedding = shapes.find("embed.weight");
    return embedding == shapes.end() || embedding->second.empty() ? 0 : embedding->second[0];
}

}  // namespace

Config with_settled_start(Config config, const fs::path& out) {
    std::string& from = config.train.init_from;
    if (from.empty()) return config;
    const CheckpointName name = parse_checkpoint_name(from);
    if (!name.which.empty()) return config;
    std::error_code ignored;
    if (fs::exists(out / "config.toml", ignored)) {
        const std::string before = load_run_config(out).train.init_from;
        if (!before.empty() && parse_checkpoint_name(before).run == name.run)
            return from = before, config;
    }
    from = CheckpointName{name.run, std::to_string(load_start(name).step())}.text();
    return config;
}

void require_fitting_weights(const Config& config, Model<float>& model) {
    const CheckpointName name = parse_checkpoint_name(config.train.init_from);
    const Shapes here = shapes_of(model), there = shapes_of(load_start(name).model);
    if (here == there) return;
    std::map<std::string, std::string> source;
    for (const auto& [key, value] : values(load_run_config(name.run))) source[key] = value;
    std::string differing, add;
    for (const auto& [key, value] : values(config)) {
        if (!is_model_key(key) || !source.contains(key) || source[key] == value) continue;
        if (!shapes_network(name.run, key + "=" + without_quotes(value), there, vocab_of(there)))
            continue;
        differing += fmt::format("{}{} ({} there, {} here)", differing.empty() ? "" : ", ", key,
                                 source[key], value);
        add += " " + shell_quoted(key + "=" + without_quotes(source[key]));
    }
    const bool other_vocab = vocab_of(there) != vocab_of(here);
    if (differing.empty() && !other_vocab) return;  // whoever loads them names the tensor
    std::string text =
        fmt::format("--init-from {}: its weights have other shapes.", config.train.init_from);
    if (other_vocab)
        text += fmt::format(
            " The vocabulary is {} there, {} here: train on data with the tokenizer of that run.",
            vocab_of(there), vocab_of(here));
    if (!add.empty())
        text += fmt::format(" Settings that differ from {}: {}. To start from them add:{}",
                            (name.run / "config.toml").string(), differing, add);
    throw UsageError(text);
}

}  // namespace plumb
