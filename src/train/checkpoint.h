// Checkpoints of a run, over plain named tensors: neither the model nor the optimizer is known
// here.
//
//     RUN/checkpoints/step_00000500/{model.safetensors, optimizer.safetensors, state.json, DONE}
//     RUN/checkpoints/best/{model.safetensors, state.json, DONE}      weights of the best
//     validation
//
// A checkpoint is written in checkpoints/.tmp_NAME.HOST.PID, synced file by file, and renamed as a
// whole; one without DONE does not count. DONE holds the SHA-256 of the other files, as `sha256sum
// -c DONE` reads it; in runs of schema 1 it is empty, and nothing is checked.
#pragma once

#include "formats/safetensors.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace plumb {

// ---- Writing: the process that holds the run's lock --------------------------------------------

// Writes the checkpoint of `step`, replacing one of the same step, then removes all but the `keep`
// newest (of this step and earlier) and what an interrupted save left; of a folder only the files
// named above. Every number in `state` survives to the bit except NaN and infinities, which JSON
// does not have. Throws IoError.
void save_checkpoint(const std::filesystem::path& run_dir, Index step,
                     std::span<const TensorRef> model, std::span<const TensorRef> optimizer,
                     const nlohmann::json& state, Index keep);

// Writes checkpoints/best, replacing the one before. Throws IoError.
void save_best_checkpoint(const std::filesystem::path& run_dir, Index step,
                          std::span<const TensorRef> model, const nlohmann::json& state);

// Removes the checkpoints of later steps than `step`, the best one too if it is: of a run that goes
// on from there and will write them again.
void drop_checkpoints_after(const std::filesystem::path& run_dir, Index step);

// ---- Finding -----------------------------------------------------------------------------------

// Whole checkpoints by step, newest first.
std::vector<std::pair<Index, std::filesystem::path>> whole_checkpoints(
    const std::filesystem::path& run_dir);

// The checkpoint with the largest step, if there is any that is whole.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run_dir);

// The step of ".../step_00000500".
Index checkpoint_step(const std::filesystem::path& checkpoint);

// A checkpoint as it is typed: RUN (the newest), RUN@500, RUN@best.
struct CheckpointName {
    std::filesystem::path run;
    std::string which;  // "", a step, or "best"

    std::string text() const;
};
// Throws UsageError if what follows the last @ is neither; a folder whose own name has an @ is
// found too.
CheckpointName parse_checkpoint_name(const std::string& text);

// Throws IoError naming the steps there are.
std::filesystem::path find_checkpoint(const CheckpointName& name);

// ---- Reading -----------------------------------------------------------------------------------

struct Checkpoint {
    SafetensorsFile model, optimizer;
    nlohmann::json state;
};

// Throws IoError naming the file if the folder is not a whole checkpoint or a file is damaged: its
// SHA-256 is another than DONE says.
Checkpoint load_checkpoint(const std::filesystem::path& checkpoint);

// The weights alone.
struct ModelCheckpoint {
    std::filesystem::path path;
    SafetensorsFile model;
    nlohmann::json state;
    Index step() const;
};
// Checked as load_checkpoint does. Where a run at work removes the checkpoint while it is read, the
// next one that fits the name is taken.
ModelCheckpoint load_model(const CheckpointName& name);

// Where a tensor goes.
struct TensorTarget {
    std::string name;
    std::string dtype;
    std::vector<Index> shape;
    void* data;
    Device device = Device::cpu;

    // A dense view.
    template <class T>
    static TensorTarget of(std::string name, const View<T>& view) {
        std::vector<Index> shape;
        for (int i = 0; i < view.shape.rank(); ++i) shape.push_back(view.extent(i));
        return {std::move(name), dtype_name<T>(), std::move(shape), view.data, view.device};
    }
};

// Copies every tensor of the file to the target of the same name. Nothing is written unless names,
// types and shapes agree in both directions; a tensor whose name is `optional` may be on one side
// alone, where it stays as it is. Throws IoError naming the first tensor that does not agree, the
// file, and the config.toml of the run that the file belongs to.
void restore_tensors(const SafetensorsFile& file, std::span<const TensorTarget> targets,
                     const std::function<bool(const std::string& name)>& optional = {});

}  // namespace plumb
