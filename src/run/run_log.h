// What a run appends while it goes: metrics.jsonl, depth.jsonl, matrix/step_*.safetensors (what
// their numbers are stands beside them, in measures.json) and TensorBoard events (schema 2, README
// section "Files of a run").
#pragma once

#include "formats/jsonl.h"
#include "formats/tfevents.h"
#include "matrix/summary.h"
#include "record/depth_record.h"
#include "record/record_config.h"

#include <filesystem>
#include <optional>

namespace plumb {

struct MetricsLine {
    long step = 0;         // completed optimizer steps
    long tokens = 0;       // seen in training
    double tok_per_s = 0;  // of training steps since the last line; for TensorBoard, 0: not known
    std::optional<double> train_loss{}, val_loss{}, val_bpb{}, lr{}, grad_norm{};
};

class RunLog {
public:
    // Opens the files for appending; lines after `resume_step` are dropped first. Throws IoError.
    RunLog(const std::filesystem::path& run_dir, std::optional<long> resume_step,
           const RecordConfig& record);

    // metrics.jsonl gets what follows from the config alone: no times. Events are on their way to
    // the disk when this returns.
    void metrics(const MetricsLine& line);
    void depth(long step, const std::vector<DepthRecord>& records);
    // Of each way in which sublayers read. The first has the tensors by their names (mean), the
    // others with the way's behind (mean.k).
    void matrix(long step, const std::string& mixer, long layers,
                const std::vector<MatrixSummary>& ways);
    // Returns when everything is on the disk.
    void flush();

private:
    std::filesystem::path run_dir_;
    bool tensorboard_all_;
    std::optional<JsonlFile> metrics_, depth_;
    std::optional<EventFile> events_;
};

}  // namespace plumb
