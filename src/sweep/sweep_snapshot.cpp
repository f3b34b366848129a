#include "sweep/sweep_snapshot.h"

#include <algorithm>

namespace plumb {
namespace {

using Phase = SweepUnit::Phase;

long& count_of(SweepCounts& c, const SweepUnit& u) {
    if (u.given_up) return c.failed;
    if (u.phase == Phase::queued) return c.queued;
    if (u.phase != Phase::over) return u.look.word == RunWord::elsewhere ? c.elsewhere : c.running;
    if (u.look.word == RunWord::culled) return c.culled;
    return u.look.word == RunWord::diverged ? c.diverged : c.done;
}

std::string where_text(const SweepUnit& u, const std::vector<SweepPlace>& places) {
    if (u.place >= 0) return places[static_cast<std::size_t>(u.place)].text();
    if (!u.look.holder || u.look.holder->pid == 0) return "another process";
    return fmt::format("pid {} on {}", u.look.holder->pid, u.look.holder->host);
}

}  // namespace

SweepSnapshot snapshot_of(const std::vector<SweepUnit>& units,
                          const std::vector<SweepPlace>& places, int at_a_time, int attempts,
                          WorkRate rate) {
    SweepSnapshot s;
    double all = 0, done = 0;
    for (const SweepUnit& u : units) {
        ++s.counts.total;
        ++count_of(s.counts, u);
        const double weight = u.weight();
        all += weight;
        if (u.phase == Phase::over) done += weight;
        if (u.phase == Phase::queued) done += weight * u.reached;
        if (!u.why.empty() && !is_over(u.look.word))
            s.failed.push_back({u.name(), u.why, u.log(), u.failures, attempts, u.given_up});
        if (u.phase != Phase::child && u.phase != Phase::held) continue;
        const RunPace pace = pace_of(u.run.dir);
        const double fraction = u.fraction_at(pace.step);
        done += weight * fraction;
        if (u.phase == Phase::child)
            rate.add(weight * (fraction - u.start_fraction), seconds_since(u.started));
        s.running.push_back({u.name(), pace.step, u.run.config.train.steps, pace.loss,
                             pace.tokens_per_s, where_text(u, places)});
    }
    s.fraction = all > 0 ? done / all : 1;
    const long left = s.counts.queued + s.counts.running + s.counts.elsewhere;
    s.eta_s = rate.seconds_for(all - done, static_cast<double>(std::min<long>(at_a_time, left)));
    return s;
}

}  // namespace plumb
