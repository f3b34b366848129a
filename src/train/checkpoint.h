// Checkpoints of a run, over plain named tensors: neither the model nor the optimizer is known
// here.
//
//     RUN/checkpoints/step_00000500/{model.safetensors, optimizer.safetensors, state.json, DONE}
//
// A checkpoint is written in checkpoints/.tmp_step_*, synced file by file, and renamed as a whole;
// one without DONE does not count.
#pragma once

#include "record/safetensors.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace plumb {

// Writes the checkpoint of `step`, replacing one of the same step, then removes all but the `keep`
// newest (of this step and earlier) and what an interrupted save left. Every number in `state`
// survives to the bit except NaN and infinities, which JSON does not have. Throws IoError.
void save_checkpoint(const std::filesystem::path& run_dir, Index step,
                     std::span<const TensorRef> model, std::span<const TensorRef> optimizer,
                     const nlohmann::json& state, Index keep);

// The checkpoint with the largest step, if there is any that is whole.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run_dir);

// The step of ".../step_00000500".
Index checkpoint_step(const std::filesystem::path& checkpoint);

struct Checkpoint {
    SafetensorsFile model, optimizer;
    nlohmann::json state;
};

// Throws IoError if the folder is not a whole checkpoint.
Checkpoint load_checkpoint(const std::filesystem::path& checkpoint);

// Where a tensor goes.
struct TensorTarget {
    std::string name;
    std::string dtype;
    std::vector<Index> shape;
    void* data;

    // A dense view on the CPU.
    template <class T>
    static TensorTarget of(std::string name, const View<T>& view) {
        TensorRef ref = TensorRef::of(name, view);
        return {std::move(name), std::move(ref.dtype), std::move(ref.shape), view.data};
    }
};

// Copies every tensor of the file to the target of the same name. Nothing is written unless names,
// types and shapes agree in both directions. Throws IoError naming the first tensor that does not,
// the file, and the config.toml of the run that the file belongs to.
void restore_tensors(const SafetensorsFile& file, std::span<const TensorTarget> targets);

}  // namespace plumb
