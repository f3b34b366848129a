// What `plumb sweep run` does when a run ends, or another process has ended it.
#include "core/exit_code.h"
#include "core/files.h"
#include "core/text.h"
#include "sweep/memory_admission.h"
#include "sweep/sweep_work.h"

#include <algorithm>
#include <csignal>

namespace plumb {
namespace {

using Phase = SweepUnit::Phase;

}  // namespace

void SweepWork::release(SweepUnit& unit) {
    ended_since_plan_ = true;
    if (unit.place >= 0) places_[static_cast<std::size_t>(unit.place)].taken = false;
    unit.place = -1;
    unit.orphan = false;
    unit.process.reset();
}

void SweepWork::reap() {
    for (SweepUnit& unit : units_) {
        if (unit.phase != Phase::child) continue;
        auto end = unit.process->ended();
        if (!end) continue;
        end->out_of_memory = end->signal == SIGKILL && out_of_memory_kills() > unit.kills_before;
        gemm_rate_.learn(unit.run.config, unit.log(), unit.log_before);
        ended(unit, *end);
    }
}

void SweepWork::ended(SweepUnit& unit, const RunEnd& end) {
    release(unit);
    unit.look = look_at_run(unit.run.dir);
    unit.reached = unit.fraction_at(pace_of(unit.run.dir).step);
    const AfterEnd what = after_end(end, unit.failures, at_a_time_, options_.retry);
    if (what == AfterEnd::over) return has_result(unit, end);
    if (!unit.culled_for.empty() && unit.look.word == RunWord::culled) {
        unit.phase = Phase::over;
        return say(true, "culled     {}: {}", unit.name(), unit.culled_for);
    }
    if (stopping_) {  // asked to, or its failure can wait for the next time
        unit.phase = Phase::queued;
        return say(false, "stopped    {}", unit.name());
    }
    if (what == AfterEnd::busy && (is_over(unit.look.word) || is_held(unit.look.word))) {
        // Another sweep was first: the next search begins elsewhere, so that the two part.
        first_ = random_() % units_.size();
        return note_look(unit, unit.look);
    }
    failed(unit, end, what == AfterEnd::busy ? AfterEnd::retry : what, last_words(unit.run.dir));
}

void SweepWork::has_result(SweepUnit& unit, const RunEnd& end) {
    unit.phase = Phase::over;
    unit.look = {end.exit == kDiverged ? RunWord::diverged : RunWord::done};
    faults_ = 0;
    const double took = seconds_since(unit.started);
    const double reached = end.exit == kDiverged ? unit.reached : 1.0;
    rate_.add(unit.weight() * (reached - unit.start_fraction), took);
    if (!unit.culled_for.empty()) remove_path(unit.run.dir / kCulledName);  // it was faster
    culling_.look(unit.run);
    if (end.exit == kDiverged)
        return say(false, "diverged   {}  {}  {}", unit.name(), human_seconds(took),
                   last_words(unit.run.dir));
    const auto loss = best_.add(unit.run, file_.metric);
    say(false, "done       {}  {}{}", unit.name(), human_seconds(took),
        loss ? fmt::format("  {} {:.4f}", file_.metric, *loss) : "");
}

void SweepWork::failed(SweepUnit& unit, const RunEnd& end, AfterEnd what,
                       const std::string& words) {
    unit.why = words;
    if (end.signal != 0 || words.empty())
        unit.why = text_of(end) + (words.empty() ? ", and its log is empty" : "; last: " + words);
    unit.phase = Phase::queued;
    std::string next;
    if (what == AfterEnd::retry_less) {
        at_a_time_ = std::max(1, at_a_time_ / 2);
        next = fmt::format("again, with at most {} at a time", at_a_time_);
    } else {
        ++unit.failures;
        if (what == AfterEnd::retry) {
            const auto pause = wait_before(unit.failures, options_.retry);
            unit.not_before = Clock::now() + pause;
            next = "again in " + human_seconds(static_cast<double>(pause.count()) / 1000);
        } else {
            unit.phase = Phase::over;
            unit.given_up = ended_since_plan_ = true;
            next = what == AfterEnd::bug ? "not tried again" : "given up";
        }
    }
    say(true, "failed     {} (attempt {} of {}): {}; {}; log: {}", unit.name(),
        std::max(1, unit.failures), options_.retry.retries + 1, unit.why, next, unit.log());
    if (what == AfterEnd::bug) count_fault(unit, end);
    if (options_.fail_fast && unit.given_up && stopped_for_.empty())
        stopped_for_ = fmt::format("--fail-fast: {} failed", unit.name());
}

void SweepWork::count_fault(const SweepUnit& unit, const RunEnd& end) {
    constexpr int kMost = 3;
    const int fault = end.signal != 0 ? 128 + end.signal : end.exit;
    faults_ = fault == last_fault_ ? faults_ + 1 : 1;
    last_fault_ = fault;
    if (faults_ >= kMost && stopped_for_.empty())
        stopped_for_ =
            fmt::format("{} runs in a row ended with {}: {}", kMost, text_of(end), unit.why);
}

void SweepWork::look_again() {
    if (seconds_since(looked_) < 0.25) return;
    looked_ = Clock::now();
    for (SweepUnit& unit : units_) {
        const bool waits = unit.phase == Phase::queued && unit.not_before > looked_;
        if (unit.phase != Phase::held && !waits) continue;
        const RunLook look = look_at_run(unit.run.dir);
        if (waits && !is_over(look.word) && !is_held(look.word)) continue;
        if (!is_held(look.word)) release(unit);
        note_look(unit, look);
        if (look.word == RunWord::failed)
            unit.not_before = Clock::now() + wait_before(1, options_.retry);
        if (is_over(look.word))
            say(false, "{:<10} {}  (by another process)", text_of(look.word), unit.name());
    }
}

void SweepWork::cull() {
    if (!file_.cull || seconds_since(culled_) < 0.5) return;
    culled_ = Clock::now();
    for (SweepUnit& unit : units_) {
        if (unit.phase != Phase::child || !unit.culled_for.empty()) continue;
        if (unit.fraction_at(pace_of(unit.run.dir).step) < file_.cull->at) continue;
        unit.culled_for = culling_.look(unit.run);
        if (unit.culled_for.empty()) continue;
        write_file(unit.run.dir / kCulledName, unit.culled_for + "\n");  // first: if we are killed
        unit.process->ask_to_stop();
    }
}

}  // namespace plumb
