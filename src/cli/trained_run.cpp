#include "cli/trained_run.h"

#include "cli/run_folder.h"
#include "core/check.h"
#include "core/files.h"
#include "core/text.h"
#include "run/run_settings.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace plumb {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEmbedding = "embed.weight";

void check_finite(const TrainedRun& run, const std::string& name, View<const float> value) {
    for_fetched(value, [&](float x) {
        if (!std::isfinite(x))
            throw IoError(fmt::format(
                "{}: {} holds {}, which training never saves: the file is damaged; try another "
                "checkpoint, {}@STEP",
                run.checkpoint.path.string(), name, x, run.folder().string()));
    });
}

}  // namespace

Index TrainedRun::vocab() const {
    const std::vector<Index>& shape = checkpoint.model.shape(kEmbedding);
    if (shape.size() != 2)
        throw IoError(fmt::format("{}: {} is no matrix", checkpoint.path.string(), kEmbedding));
    return shape[0];
}

TrainedRun open_trained_run(const std::string& text, const std::string& command) {
    const CheckpointName name = parse_checkpoint_name(text);
    require_run(name.run, command);
    return {name, load_run_config(name.run), load_model(name), command};
}

void restore_weights(const TrainedRun& run, ParamStore<float>& params) {
    std::vector<TensorTarget> targets;
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        targets.push_back(
            TensorTarget::of(params.specs()[static_cast<std::size_t>(i)].name, params.value({i})));
    restore_tensors(run.checkpoint.model, targets);
    for (Index i = 0; i < std::ssize(params.specs()); ++i)
        check_finite(run, params.specs()[static_cast<std::size_t>(i)].name, params.value({i}));
}

bool keeps_text(const TrainedRun& run) {
    std::error_code ignored;
    return fs::exists(run.folder() / "data" / "meta.json", ignored);
}

std::optional<TokenMeta> token_meta(const TrainedRun& run) {
    const auto own = run.folder() / "data";
    for (const fs::path& folder : {own, fs::path(run.config.data.path)}) {
        std::error_code ignored;
        const fs::path file = folder / "meta.json";
        if (folder.empty() || !fs::exists(file, ignored)) continue;
        const auto json = nlohmann::json::parse(read_file(file), nullptr, false);
        if (json.is_object() && json.value("tokenizer", nlohmann::json()) == "none")
            return std::nullopt;
        return read_token_meta(folder);
    }
    return std::nullopt;
}

// A run of schema 1 keeps nothing of its data: they must be there.
std::optional<Tokenizer> tokenizer_of(const TrainedRun& run) {
    if (!keeps_text(run)) return open_run_data(run)->tokenizer();
    const auto meta = token_meta(run);
    return meta ? std::optional(meta->tokenizer) : std::nullopt;
}

std::unique_ptr<Dataset> open_run_data(const TrainedRun& run, const std::string& folder,
                                       EvalSplit split) {
    const std::string name = run.folder().string();
    const std::string with_data =
        fmt::format("plumb {} {} --data DIR", run.command, shell_quoted(run.name.text()));
    DataConfig config = run.config.data;
    if (folder.empty()) {
        require_data_there(run.folder(), config, with_data);
    } else {
        std::error_code ignored;
        config = {};
        config.path = folder;  // as its meta.json says, or as the run's own were read
        if (!fs::exists(fs::path(folder) / "meta.json", ignored))
            config.dtype = run.config.data.dtype;
    }
    auto data = open_dataset(config, run.config.model.resolved().context, split);
    if (folder.empty() ? data->vocab() != run.vocab() : data->vocab() > run.vocab())
        throw UsageError(fmt::format("{}: {} was trained with a vocabulary of {}", data->describe(),
                                     name, run.vocab()));
    const auto trained_on = [&] {
        const auto kept = run.checkpoint.state.find("data");
        return kept != run.checkpoint.state.end() && *kept == data->fingerprint();
    };
    if (folder.empty() && !trained_on())
        throw UsageError(
            fmt::format("{} is not the data that {} was trained on; to use others with the same "
                        "tokenizer: {}",
                        data->describe(), name, with_data));
    if (folder.empty() || (!keeps_text(run) && trained_on())) return data;
    check_same_tokenizer(*data, tokenizer_of(run), name);
    return data;
}

}  // namespace plumb
