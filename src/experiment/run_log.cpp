#include "experiment/run_log.h"

#include "core/files.h"
#include "record/safetensors.h"

#include <cmath>

namespace plumb {
namespace {

using Json = nlohmann::ordered_json;

void put(Json& json, const char* key, const std::optional<double>& value) {
    if (value) json[key] = *value;
}

Json to_json(long step, const DepthRecord& r) {
    Json json{{"step", step}, {"depth", r.depth}, {"site", r.site}, {"kind", r.kind}};
    put(json, "read_rms", r.read_rms);
    put(json, "out_rms", r.out_rms);
    put(json, "stream_rms", r.stream_rms);
    put(json, "contribution", r.contribution);
    put(json, "cosine", r.cosine);
    put(json, "dout_rms", r.dout_rms);
    put(json, "dread_rms", r.dread_rms);
    json["pgrad_rms"] = r.gradients.rms;
    json["pgrad_q"] = r.gradients.quantiles;
    json["pgrad_hist"] = r.gradients.histogram;
    return json;
}

// The gradient histogram in TensorBoard's form; bin limits are powers of ten.
EventHistogram to_event(const GradientSummary& g) {
    EventHistogram h;
    h.max = g.quantiles.back();
    for (int bin = 0; bin < kHistogramBins; ++bin) {
        const auto count = static_cast<double>(g.histogram[static_cast<std::size_t>(bin)]);
        h.limits.push_back(std::pow(10.0, kHistogramLow + kHistogramStep * (bin + 1)));
        h.counts.push_back(count);
        h.n += count;
    }
    h.sum_squares = g.rms * g.rms * h.n;
    return h;
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& run_dir, std::optional<long> resume_step,
               bool tensorboard)
    : run_dir_(run_dir) {
    const auto metrics = run_dir / "metrics.jsonl", depth = run_dir / "depth.jsonl";
    if (resume_step) {
        drop_lines_after(metrics, *resume_step);
        drop_lines_after(depth, *resume_step);
        if (std::filesystem::exists(metrics))
            for (const auto& line : read_jsonl(metrics))
                earlier_time_ = line.value("time_s", earlier_time_);
    }
    metrics_.emplace(metrics);
    depth_.emplace(depth);
    make_folder(run_dir / "matrix");
    if (tensorboard) events_.emplace(run_dir);
}

void RunLog::metrics(const MetricsLine& m) {
    Json json{{"step", m.step}, {"tokens", m.tokens}, {"time_s", m.time_s}};
    const std::pair<const char*, std::optional<double>> fields[] = {
        {"train/loss", m.train_loss}, {"val/loss", m.val_loss},
        {"val/bpb", m.val_bpb},       {"lr", m.lr},
        {"grad_norm", m.grad_norm},   {"tok_per_s", m.tok_per_s}};
    for (const auto& [key, value] : fields) {
        put(json, key, value);
        if (events_ && value) events_->scalar(m.step, key, *value);
    }
    metrics_->write(json);
}

void RunLog::depth(long step, const std::vector<DepthRecord>& records) {
    for (const DepthRecord& r : records) {
        depth_->write(to_json(step, r));
        if (!events_) continue;
        const std::pair<const char*, std::optional<double>> fields[] = {
            {"read_rms", r.read_rms},         {"out_rms", r.out_rms}, {"stream_rms", r.stream_rms},
            {"contribution", r.contribution}, {"cosine", r.cosine},   {"dout_rms", r.dout_rms},
            {"dread_rms", r.dread_rms}};
        for (const auto& [key, value] : fields)
            if (value)
                events_->scalar(step, fmt::format("depth_{}/{:02}_{}", key, r.depth, r.site),
                                *value);
        events_->histogram(step, fmt::format("gradient/{:02}_{}", r.depth, r.site),
                           to_event(r.gradients));
    }
}

void RunLog::matrix(long step, const std::string& mixer, const MatrixSummary& m) {
    const std::vector<Index> square{m.rows, m.rows};
    const std::vector<TensorRef> tensors{
        {"mean", "F32", square, m.mean.data()},
        {"std", "F32", square, m.std.data()},
        {"sample", "F32", {m.n_sample, m.rows, m.rows}, m.sample.data()}};
    write_safetensors(run_dir_ / "matrix" / fmt::format("step_{:08}.safetensors", step), tensors,
                      {{"mixer", mixer},
                       {"step", std::to_string(step)},
                       {"layers", std::to_string((m.rows - 1) / 2)}});
}

void RunLog::flush() {
    metrics_->flush();
    depth_->flush();
    if (events_) events_->flush();
}

}  // namespace plumb
