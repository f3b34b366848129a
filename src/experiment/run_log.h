// What a run appends while it goes: metrics.jsonl, depth.jsonl, matrix/step_*.safetensors and
// TensorBoard events (schema 1, README section "Files of a run").
#pragma once

#include "matrix/summary.h"
#include "record/jsonl.h"
#include "record/probes.h"
#include "record/tfevents.h"

#include <filesystem>
#include <optional>

namespace plumb {

struct MetricsLine {
    long step = 0;      // completed optimizer steps
    long tokens = 0;    // seen in training
    double time_s = 0;  // spent in training steps: without validation, probes, checkpoints
    std::optional<double> train_loss{}, val_loss{}, val_bpb{}, lr{}, grad_norm{}, tok_per_s{};
};

class RunLog {
public:
    // Opens the files for appending; lines after `resume_step` are dropped first. Throws IoError.
    RunLog(const std::filesystem::path& run_dir, std::optional<long> resume_step, bool tensorboard);

    void metrics(const MetricsLine& line);
    void depth(long step, const std::vector<DepthRecord>& records);
    void matrix(long step, const std::string& mixer, const MatrixSummary& m);
    // Returns when everything is on the disk.
    void flush();
    // Training time that earlier sessions of the run logged.
    double earlier_time() const { return earlier_time_; }

private:
    double earlier_time_ = 0;
    std::filesystem::path run_dir_;
    std::optional<JsonlFile> metrics_, depth_;
    std::optional<EventFile> events_;
};

}  // namespace plumb
