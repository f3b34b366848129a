#include "sweep/calibrate.h"

#include "bench/bench.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/cpu_info.h"
#include "core/student_t.h"
#include "data/dataset.h"
#include "sweep/match.h"

#include <cmath>

namespace plumb {
namespace {

CalibratedCell measure(const SweepCell& cell, const SweepCell& base, const BenchOptions& options) {
    const Config& c = cell.config.config;
    const auto data = open_dataset(c.data, c.model.resolved().context);
    const StepRace race = race_steps(base.config.config, c, *data, options);
    CalibratedCell out{cell.variant, cell.point};
    out.relative = spread(race.ratios).median;
    const MeanInterval interval = mean_interval(race.ratios);
    out.low = interval.mean - interval.half_width;
    out.high = interval.mean + interval.half_width;
    out.tokens_per_s =
        static_cast<double>(c.train.batch * c.train.accumulate * c.model.resolved().context) /
        race.step.median;
    out.steps = std::lround(static_cast<double>(base.config.config.train.steps) / out.relative);
    return out;
}

}  // namespace

Calibration calibrate(const SweepFile& file, const CalibrateOptions& options) {
    std::vector<std::string> notes;
    SweepCosts costs;
    Met met;
    const std::vector<SweepCell> cells = expand(file, costs, notes, met);
    Calibration out{this_cpu().model, utc_now(), {}};
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const SweepCell* base = baseline_of(file, cells, cells[i]);
        if (base == nullptr || base == &cells[i]) continue;
        BenchOptions bench;
        bench.context.threads = options.threads;
        bench.rounds = options.rounds;
        bench.progress = [&](double fraction, const std::string&) {
            if (options.progress)
                options.progress(
                    (static_cast<double>(i) + fraction) / static_cast<double>(cells.size()),
                    cells[i].variant);
        };
        out.cells.push_back(measure(cells[i], *base, bench));
    }
    if (out.cells.empty())
        throw UsageError(fmt::format("{}: nothing but baselines; there is nothing to calibrate",
                                     file.path.string()));
    return out;
}

}  // namespace plumb
