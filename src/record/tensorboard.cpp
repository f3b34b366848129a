#include "record/tensorboard.h"

#include "core/check.h"
#include "record/measures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace plumb {
namespace {

// Depths that stand for all: the first and the last of each kind of sublayer.
std::set<int> chosen_depths(const std::vector<DepthRecord>& records) {
    std::set<int> out;
    std::set<std::string> kinds;
    for (const DepthRecord& r : records) kinds.insert(r.kind);
    for (const std::string& kind : kinds) {
        if (kind == "embed" || kind == "output") continue;
        const auto same = [&](const DepthRecord& r) { return r.kind == kind; };
        const auto first = std::find_if(records.begin(), records.end(), same);
        const auto last = std::find_if(records.rbegin(), records.rend(), same);
        if (first != records.end()) out.insert({first->depth, last->depth});
    }
    return out;
}

std::string place(const DepthRecord& r) {
    return fmt::format("{}/{:02}_{}", r.kind, r.depth, r.site);
}

// The gradient histogram over log10 |g|, from the first bin that holds something to the last:
// TensorBoard draws the outer ones from min and to max.
EventHistogram to_event(const GradientSummary& g) {
    EventHistogram h;
    h.min = g.log_min, h.max = g.log_max;
    h.sum = g.log_sum, h.sum_squares = g.log_squares;
    int first = 0, last = kHistogramBins - 1;
    const auto count = [&](int bin) { return g.histogram[static_cast<std::size_t>(bin)]; };
    while (first < last && count(first) == 0) ++first;
    while (last > first && count(last) == 0) --last;
    for (int bin = first; bin <= last; ++bin) {
        h.limits.push_back(kHistogramLow + kHistogramStep * (bin + 1));
        h.counts.push_back(static_cast<double>(count(bin)));
        h.n += h.counts.back();
    }
    return h;
}

void write_summaries(EventFile& events, long step, const std::vector<DepthRecord>& records) {
    for (const Measure* summary : measures_of(MeasurePlace::summary)) {
        if (!summary->summarise || !summary->headline) continue;
        const Measure& of = measure(summary->of);
        std::vector<double> by_depth;
        for (const DepthRecord& r : records)
            by_depth.push_back((r.*of.field).value_or(std::numeric_limits<double>::quiet_NaN()));
        if (const double x = summary->summarise(by_depth); std::isfinite(x))
            events.scalar(step, "probe/" + summary->key, x, description(*summary));
    }
}

}  // namespace

void write_probe(EventFile& events, long step, const std::vector<DepthRecord>& records, bool all) {
    const std::set<int> chosen = chosen_depths(records);
    for (const DepthRecord& r : records) {
        if (!all && !chosen.contains(r.depth)) continue;
        for (const Measure* m : measures_of(MeasurePlace::depth))
            if (m->field && r.*m->field && (all || (m->headline && m->comparable)))
                events.scalar(step, m->key + "/" + place(r), *(r.*m->field), description(*m));
        events.histogram(step, "gradient_log10/" + place(r), to_event(r.gradients),
                         "log10 of |gradient| of the weights of one sublayer");
    }
    write_summaries(events, step, records);
}

}  // namespace plumb
