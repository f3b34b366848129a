// The rows of the table.
#include "record/measures.h"

#include <cmath>
#include <limits>

namespace plumb {
namespace {

using enum MeasurePlace;

constexpr const char* kTokenMean = "computed for every probed token, then averaged";
constexpr const char* kRms = "root of the mean square over tokens and channels";
constexpr const char* kLargest = "largest over tokens and channels";
constexpr const char* kOneNumber =
    "one number a probe: gradients are of the mean loss of its tokens";

// ---- one number from a measure at depths 0..L+1, NaN where there is none ----------------------

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// f(depth, x) for the sublayers, 1..L, that have a number.
template <class F>
void for_sublayers(std::span<const double> by_depth, F&& f) {
    for (std::size_t l = 1; l + 1 < by_depth.size(); ++l)
        if (!std::isnan(by_depth[l])) f(static_cast<double>(l), by_depth[l]);
}

double log_slope(std::span<const double> by_depth) {
    double n = 0, mean_l = 0, mean_log = 0, along = 0, spread = 0;
    for_sublayers(by_depth,
                  [&](double l, double x) { n += 1, mean_l += l, mean_log += std::log(x); });
    mean_l /= n, mean_log /= n;
    for_sublayers(by_depth, [&](double l, double x) {
        along += (l - mean_l) * (std::log(x) - mean_log);
        spread += (l - mean_l) * (l - mean_l);
    });
    return n >= 2 ? along / spread : kNaN;
}

double variation(std::span<const double> by_depth) {
    double n = 0, mean = 0, squares = 0;
    for_sublayers(by_depth, [&](double, double x) { n += 1, mean += x; });
    mean /= n;
    for_sublayers(by_depth, [&](double, double x) { squares += (x - mean) * (x - mean); });
    return n >= 2 ? std::sqrt(squares / (n - 1)) / mean : kNaN;
}

double growth(std::span<const double> by_depth) {
    double first = kNaN, last = kNaN;
    for (const double x : by_depth) {
        if (std::isnan(x)) continue;
        if (std::isnan(first)) first = x;
        last = x;
    }
    return last / first;
}

// ---- rows -------------------------------------------------------------------------------------

Measure make_measure(MeasurePlace place, std::string key, std::string name, std::string unit,
                     std::string meaning, std::string reduction) {
    return {std::move(key),
            std::move(name),
            std::move(unit),
            std::move(meaning),
            std::move(reduction),
            true,
            place};
}

Measure of_depth(std::optional<double> DepthRecord::*field, std::string key, std::string name,
                 std::string unit, std::string meaning, std::string reduction) {
    Measure m = make_measure(depth, std::move(key), std::move(name), std::move(unit),
                             std::move(meaning), std::move(reduction));
    m.field = field;
    return m;
}

Measure of_matrix(std::vector<double> MatrixSummary::*tensor, std::string key, std::string name,
                  std::string meaning, std::string reduction) {
    Measure m = make_measure(matrix, std::move(key), std::move(name), "1", std::move(meaning),
                             std::move(reduction));
    m.tensor = tensor;
    return m;
}

// Of M's mean, by `plumb matrix`.
Measure of_mean(std::string key, std::string name, std::string meaning) {
    return make_measure(summary, std::move(key), std::move(name), "1",
                        meaning + " By `plumb matrix`.", "of the mean over tokens");
}

Measure of_summary(std::string of, double (*summarise)(std::span<const double>), std::string key,
                   std::string name, std::string unit, std::string meaning) {
    Measure m = make_measure(summary, std::move(key), std::move(name), std::move(unit),
                             meaning + " By `plumb inspect`.", "one number a probe");
    m.of = std::move(of), m.summarise = summarise;
    return m;
}

Measure headline(Measure m) {
    m.headline = true;
    return m;
}

Measure this_mixer_only(Measure m) {
    m.comparable = false;
    return m;
}

// ---- comparable between mixers ----------------------------------------------------------------

void add_shares(std::vector<Measure>& out) {
    using R = DepthRecord;
    out.push_back(headline(
        of_depth(&R::write_share, "write_share", "write share", "1",
                 "Share of this depth's output v_l in the next read: <M[l+1,l] v_l, h_{l+1}> / "
                 "<h_{l+1}, h_{l+1}>. The shares of a read's sources sum to 1.",
                 kTokenMean)));
    out.push_back(
        of_depth(&R::write_magnitude, "write_magnitude", "write magnitude", "1",
                 "|M[l+1,l] v_l| / |h_{l+1}|: the size of what is written beside the next "
                 "read, whatever its direction.",
                 kTokenMean));
    out.push_back(of_depth(&R::output_share, "output_share", "share in the output", "1",
                           "Share of v_l in what the final norm reads.", kTokenMean));
    out.push_back(of_depth(&R::share_kept, "share_kept", "share kept to the output", "1",
                           "Share of v_l in what the final norm reads over its write share: how "
                           "much of it later writes leave.",
                           "ratio of the two means over tokens"));
    out.push_back(headline(
        of_depth(&R::effective_sources, "effective_sources", "effective sources", "sources",
                 "1 / sum of the squared shares of the sources of this read: l if all "
                 "count alike, 1 if one makes it up. Shares of opposite signs lower it.",
                 kTokenMean)));
    out.push_back(of_depth(&R::embedding_share, "embedding_share", "embedding share", "1",
                           "Share of the embedding v_0 in this read.", kTokenMean));
    out.push_back(headline(
        of_depth(&R::cosine, "cosine", "cosine of consecutive reads", "1",
                 "Cosine of the angle between this read h_l and the one before it.", kTokenMean)));
    out.push_back(of_depth(&R::angular_distance, "angular_distance", "angular distance",
                           "half turns",
                           "arccos(cosine) / pi of this read and the one before it: 0 the same "
                           "direction, 1 opposite.",
                           kTokenMean));
}

void add_outputs_and_gradients(std::vector<Measure>& out) {
    using R = DepthRecord;
    out.push_back(
        headline(of_depth(&R::out_rms, "out_rms", "output rms", "1",
                          "Size of the sublayer's output v_l (depth 0: of the embedding).", kRms)));
    out.push_back(of_depth(&R::out_amax, "out_amax", "largest output", "1",
                           "Largest |v_l|: what a low-precision format has to hold.", kLargest));
    out.push_back(headline(of_depth(&R::dout_rms, "dout_rms", "output gradient rms", "nats",
                                    "Size of dLoss/dv_l.", kRms)));
    out.push_back(
        headline(of_depth(&R::ablation, "ablation", "first-order ablation", "nats",
                          "<v_l, dLoss/dv_l>: the derivative of the mean loss by a gain on v_l. "
                          "Positive: with less of v_l the loss would fall.",
                          "sum over tokens, of the gradient of the mean loss")));
    out.push_back(
        headline(of_depth(&R::pgrad_norm, "pgrad_norm", "weight gradient norm", "nats",
                          "Norm of the gradient of the sublayer's own weight matrices; attention "
                          "and MLP are told apart by kind.",
                          kOneNumber)));
    out.push_back(of_depth(&R::pgrad_rms, "pgrad_rms", "weight gradient rms", "nats",
                           "The same, root mean square over the weights.", kOneNumber));
    out.push_back(
        headline(of_depth(&R::update_ratio, "update_ratio", "update / weight", "1",
                          "|W - W before the last step| / |W| over the sublayer's own weights.",
                          "one number a probe; missing at step 0")));
    Measure quantiles{
        "pgrad_q",
        "weight gradient quantiles",
        "nats",
        "|gradient| of the sublayer's own weights: 5, 25, 50, 75, 95 % and largest.",
        kOneNumber,
        true,
        depth,
        nullptr,
        [](const R& r) { return nlohmann::ordered_json(r.gradients.quantiles); },
        {"pgrad_p5", "pgrad_p25", "pgrad_p50", "pgrad_p75", "pgrad_p95", "pgrad_max"}};
    out.push_back(quantiles);
    Measure histogram{
        "pgrad_hist",
        "weight gradient histogram",
        "weights",
        "How many of the sublayer's own weights have a gradient of which size: 28 bins of half a "
        "decade of |gradient|, from 1e-12 to 100; smaller and larger ones fall in the end bins.",
        kOneNumber,
        true,
        depth,
        nullptr,
        [](const R& r) { return nlohmann::ordered_json(r.gradients.histogram); }};
    out.push_back(histogram);
}

void add_comparable(std::vector<Measure>& out) {
    add_shares(out);
    add_outputs_and_gradients(out);
    using S = MatrixSummary;
    out.push_back(
        of_matrix(&S::share, "share", "share",
                  "<M[l,i] v_i, h_l> / <h_l, h_l>, row l-1, column i: what source i makes "
                  "up of read l. Rows sum to 1.",
                  kTokenMean));
    out.push_back(of_matrix(&S::share_std, "share_std", "share, spread",
                            "How much the share differs by token.",
                            "standard deviation over tokens"));
    out.push_back(of_matrix(&S::magnitude, "share_magnitude", "share by magnitude",
                            "|M[l,i] v_i| / |h_l|: the cheap form, blind to directions.",
                            kTokenMean));
    out.push_back(headline(of_summary(
        "dout_rms", log_slope, "dout_log_slope", "log-slope of the output gradient", "1/sublayer",
        "Least-squares slope of ln(dout_rms) over the depth of the sublayers: negative where early "
        "ones have the larger gradients.")));
    out.push_back(
        headline(of_summary("dout_rms", variation, "dout_cv", "variation of the output gradient",
                            "1", "Standard deviation over mean of dout_rms of the sublayers.")));
}

// ---- of one mixer alone -----------------------------------------------------------------------

void add_this_mixer_only(std::vector<Measure>& out) {
    using R = DepthRecord;
    const auto add = [&](Measure m) { out.push_back(this_mixer_only(std::move(m))); };
    add(headline(of_depth(&R::read_rms, "read_rms", "read rms", "1",
                          "Size of what the sublayer reads, h_l.", kRms)));
    add(of_depth(&R::read_amax, "read_amax", "largest read", "1", "Largest |h_l|.", kLargest));
    add(of_depth(&R::stream_rms, "stream_rms", "stream rms", "1",
                 "Size of the mixer's state after the write: the residual stream, all streams of "
                 "hyper and mhc, the newest output of attnres, the block sum of attnres_block.",
                 kRms));
    add(headline(of_depth(&R::contribution, "contribution", "|output| / |read|", "1",
                          "|v_l| / |h_l|, of what was read for it.", kTokenMean)));
    add(of_depth(&R::dread_rms, "dread_rms", "read gradient rms", "nats",
                 "Size of dLoss/dh_l through sublayer l alone.", kRms));
    add(of_depth(&R::mixer_pgrad_norm, "mixer_pgrad_norm", "mixer gradient norm", "nats",
                 "Norm of the gradient of the mixer's own parameters at this depth.", kOneNumber));
    add(of_depth(
        &R::mixer_update_ratio, "mixer_update_ratio", "mixer update / weight", "1",
        "|p - p before the last step| / |p| over the mixer's own parameters at this depth.",
        "one number a probe; missing at step 0"));
    using S = MatrixSummary;
    add(of_matrix(&S::mean, "mean", "M", "M[l,i]: how much of source i is in read l.", kTokenMean));
    add(of_matrix(&S::std, "std", "M, spread", "How much M differs by token.",
                  "standard deviation over tokens (and channels where each has an M)"));
    add(of_matrix(&S::sample, "sample", "M of tokens", "M of a few tokens.", "none"));
    add(of_summary("read_rms", growth, "read_growth", "growth of the reads", "1",
                   "read_rms of the last read over that of the first."));
    add(of_mean("row_sum", "row sum of M", "Sum over i of M[l,i]."));
    add(of_mean("gain_max_row", "largest row gain of M", "Largest row sum of |M|."));
    add(of_mean("gain_spectral", "spectral gain of M", "Largest singular value of M."));
}

// ---- of a run as a whole -----------------------------------------------------------------------

Measure more_is_better(Measure m) {
    m.better = Better::more;
    return m;
}

Measure less_is_better(Measure m) {
    m.better = Better::less;
    return m;
}

void add_of_run(std::vector<Measure>& out) {
    const auto loss = [&](MeasurePlace place, const char* key, const char* name,
                          const char* meaning, const char* reduction, const char* unit = "nats") {
        out.push_back(less_is_better(make_measure(place, key, name, unit, meaning, reduction)));
    };
    constexpr const char* kSequences = "mean over the scored tokens of train.eval_sequences";
    constexpr const char* kSplit = "mean over all scored tokens of the split";
    loss(metrics, "train/loss", "training loss", "Cross-entropy of the batch, before its step.",
         "mean over the scored tokens of the step");
    loss(metrics, "val/loss", "validation loss", "Cross-entropy of the validation sequences.",
         kSequences);
    loss(metrics, "val/bpb", "validation loss", "The same in bits a byte of text.", kSequences,
         "bits per byte");
    loss(outcome, "final_val_loss", "final validation loss",
         "Cross-entropy of the whole validation split at the end.", kSplit);
    loss(outcome, "final_val_bpb", "final validation loss", "The same in bits a byte of text.",
         kSplit, "bits per byte");
    loss(outcome, "final_test_loss", "final test loss",
         "Cross-entropy of the whole test split at the end, which chose nothing.", kSplit);
    loss(outcome, "last_val_loss", "last validation loss of the curve", "The last val/loss.",
         kSequences);
    loss(outcome, "best_val_loss", "best validation loss of the curve",
         "The lowest val/loss: for choosing a checkpoint.", kSequences);
    out.push_back(more_is_better(make_measure(timing, "tok_per_s", "speed", "tokens/s",
                                              "Tokens trained on in a second, without validations.",
                                              "over the training steps of a run")));
    out.push_back(this_mixer_only(
        make_measure(metrics, "grad_norm", "gradient norm", "nats",
                     "Norm of the gradient of all parameters, a mixer's own too, before clipping.",
                     "of the mean loss of the step")));
}

}  // namespace

std::vector<Measure> measure_table() {
    std::vector<Measure> out;
    add_comparable(out);
    add_this_mixer_only(out);
    add_of_run(out);
    return out;
}

}  // namespace plumb
