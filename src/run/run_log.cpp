#include "run/run_log.h"

#include "config/config.h"
#include "core/files.h"
#include "core/json.h"
#include "formats/safetensors.h"
#include "record/measures.h"
#include "record/tensorboard.h"

namespace plumb {
namespace {

using Json = nlohmann::ordered_json;

void put(Json& json, const char* key, const std::optional<double>& value) {
    if (value) json[key] = *value;
}

// What a chart is told to show.
std::string told(const std::string& key) {
    return key == "lr" ? find_field("train.lr")->help : description(measure(key));
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& run_dir, std::optional<long> resume_step,
               const RecordConfig& record)
    : run_dir_(run_dir), tensorboard_all_(record.tensorboard_all) {
    const auto metrics = run_dir / "metrics.jsonl", depth = run_dir / "depth.jsonl";
    if (resume_step) {
        drop_lines_after(metrics, *resume_step);
        drop_lines_after(depth, *resume_step);
    }
    metrics_.emplace(metrics);
    depth_.emplace(depth);
    make_folder(run_dir / "matrix");
    Json described = Json::array();
    for (const Measure& m : measures()) described.push_back(to_json(m));
    write_file(run_dir / "measures.json", described.dump(1) + "\n");
    if (!record.tensorboard) return;
    events_.emplace(run_dir);
    if (resume_step) events_->session_start(*resume_step + 1);
    events_->flush();
}

void RunLog::metrics(const MetricsLine& m) {
    Json json{{"step", m.step}, {"tokens", m.tokens}};
    const std::pair<const char*, std::optional<double>> fields[] = {{"train/loss", m.train_loss},
                                                                    {"val/loss", m.val_loss},
                                                                    {"val/bpb", m.val_bpb},
                                                                    {"lr", m.lr},
                                                                    {"grad_norm", m.grad_norm}};
    for (const auto& [key, value] : fields) {
        put(json, key, value);
        if (events_ && value) events_->scalar(m.step, key, *value, told(key));
    }
    metrics_->write(json);
    if (!events_) return;
    if (m.tok_per_s > 0) events_->scalar(m.step, "tok_per_s", m.tok_per_s, told("tok_per_s"));
    events_->flush();
}

void RunLog::depth(long step, const std::vector<DepthRecord>& records) {
    for (const DepthRecord& r : records) depth_->write(to_json(step, r));
    if (events_) write_probe(*events_, step, records, tensorboard_all_);
}

void RunLog::matrix(long step, const std::string& mixer, long layers,
                    const std::vector<MatrixSummary>& ways) {
    std::vector<std::vector<float>> numbers;  // of the tensors, in this order
    std::vector<TensorRef> tensors;
    for (std::size_t way = 0; way < ways.size(); ++way)
        for (const Measure* measure : measures_of(MeasurePlace::matrix)) {
            const MatrixSummary& m = ways[way];
            const std::vector<double>& x = m.*measure->tensor;
            if (x.empty()) continue;
            numbers.emplace_back(x.begin(), x.end());
            std::vector<Index> shape{m.rows, m.rows};
            if (measure->tensor == &MatrixSummary::sample) shape.insert(shape.begin(), m.n_sample);
            tensors.push_back({way_key(measure->key, static_cast<int>(way)), "F32", shape,
                               numbers.back().data()});
        }
    write_safetensors(
        run_dir_ / "matrix" / fmt::format("step_{:08}.safetensors", step), tensors,
        {{"mixer", mixer}, {"step", std::to_string(step)}, {"layers", std::to_string(layers)}});
}

void RunLog::flush() {
    metrics_->flush();
    depth_->flush();
    if (events_) events_->flush();
}

}  // namespace plumb
