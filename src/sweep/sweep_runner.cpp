#include "sweep/sweep_runner.h"

#include "core/exit_code.h"
#include "core/files.h"
#include "core/text.h"
#include "run/run.h"
#include "sweep/memory_admission.h"
#include "sweep/set_aside.h"
#include "sweep/sweep_work.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>

namespace plumb {
namespace fs = std::filesystem;
namespace {

using Phase = SweepUnit::Phase;
// True if the process lives on without the one that started it.
bool is_orphan(const ProcessId& p) {
    if (is_running(p) != std::optional(true)) return false;
    const long parent = parent_of(p.pid);
    std::string name;
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", parent)), name);
    return parent == 1 || name == "systemd";
}

}  // namespace

SweepWork::SweepWork(SweepPlan plan, const std::function<SweepPlan()>& replan,
                     const SweepRunOptions& options, const SweepObserver& observer,
                     const StopFlag& stop)
    : options_(options),
      observer_(observer),
      stop_(stop),
      replan_(replan),
      places_(make_places(allowed_cpus(), options.jobs, options.threads, options.gpus)),
      at_a_time_(static_cast<int>(places_.size())),
      memory_(options.memory.value_or(free_memory().for_runs())),
      culling_(plan.file.cull) {
    take_plan(std::move(plan));
    require_memory();
}

// ---- what there is to do

void SweepWork::require_memory() const {
    for (const SweepUnit& u : units_)
        if (u.phase == Phase::queued && !fits(u.run.memory, 0, memory_))
            throw UsageError(fmt::format(
                "{} plans with {} of memory, and there are {} for all runs ({:.0f}% of what is "
                "free); make train.batch, model.context or the model smaller. Nothing was started",
                u.name(), human_bytes(u.run.memory), human_bytes(memory_), 100 * kMemoryShare));
}

void SweepWork::take_plan(SweepPlan plan) {
    std::map<std::string, bool> known;
    for (const SweepUnit& u : units_) known[u.run.id] = true;
    file_ = std::move(plan.file);
    pending_ = std::move(plan.pending);
    for (PlannedRun& run : plan.runs) {
        if (known.contains(run.id)) continue;
        units_.push_back({.run = std::move(run)});
    }
    for (SweepUnit& u : units_)
        if (!known.contains(u.run.id)) note_look(u, look_at_run(u.run.dir));
}

void SweepWork::note_look(SweepUnit& unit, const RunLook& look) {
    unit.look = look;
    unit.phase = is_over(look.word)   ? Phase::over
                 : is_held(look.word) ? Phase::held
                                      : Phase::queued;
    if (unit.phase == Phase::held) take_over(unit);
    if (unit.phase == Phase::queued && look.word != RunWord::fresh)
        unit.reached = unit.fraction_at(pace_of(unit.run.dir).step);
    if (look.word == RunWord::done) best_.add(unit.run, file_.metric);
    if (is_over(look.word)) culling_.look(unit.run);
}

// A run whose sweep was killed goes on in the cores that it has: they are not free.
void SweepWork::take_over(SweepUnit& unit) {
    if (unit.orphan || !unit.look.holder || !is_orphan(*unit.look.holder)) return;
    unit.orphan = true;
    cpu_set_t set;
    const bool known =
        ::sched_getaffinity(static_cast<pid_t>(unit.look.holder->pid), sizeof set, &set) == 0;
    const auto free = [&](auto&& good) {
        for (std::size_t i = 0; i < places_.size() && unit.place < 0; ++i)
            if (!places_[i].taken && good(places_[i])) unit.place = static_cast<int>(i);
    };
    free([&](const SweepPlace& p) {
        return known && CPU_ISSET(static_cast<std::size_t>(p.cpus[0]), &set);
    });
    free([](const SweepPlace&) { return true; });
    if (unit.place >= 0) places_[static_cast<std::size_t>(unit.place)].taken = true;
    say(false, "going on   {}  (pid {} of a sweep that has ended)", unit.name(),
        unit.look.holder->pid);
}

// ---- the second stage

void SweepWork::replan_if_tuned() {
    if (!ended_since_plan_ || !replan_) return;
    ended_since_plan_ = false;
    // Groups that --only leaves out have no run here.
    const auto ready = [&](const PendingRuns& p) {
        const TuningLeft left = tuning_left(units_, p);
        return left.runs > 0 && left.open == 0 && !blocked_.contains({p.variant, p.group});
    };
    if (std::none_of(pending_.begin(), pending_.end(), ready)) return;
    const std::size_t before = units_.size();
    try {
        take_plan(replan_());
        require_memory();
    } catch (const std::runtime_error& e) {  // those that go on come to their checkpoints first
        stopped_for_ = fmt::format("the second stage cannot be planned: {}", e.what());
        return;
    }
    if (units_.size() > before)
        say(true, "tuned: {} more runs are planned", units_.size() - before);
    for (const PendingRuns& p : pending_)  // some of its runs have failed for good
        if (ready(p)) blocked_[{p.variant, p.group}] = p.runs;
}

// ---- what starts

SweepUnit* SweepWork::next_to_start() {
    double running = 0;
    int n = 0;
    for (const SweepUnit& u : units_)
        if (u.phase == Phase::child)
            running += u.run.memory, ++n;
        else if (u.orphan)
            ++n;
    if (n >= at_a_time_) return nullptr;
    const auto now = Clock::now();
    for (std::size_t i = 0; i < units_.size(); ++i) {
        SweepUnit& u = units_[(first_ + i) % units_.size()];
        if (u.phase == Phase::queued && u.not_before <= now && fits(u.run.memory, running, memory_))
            return &u;
    }
    return nullptr;
}

void SweepWork::start_what_fits() {
    while (SweepUnit* unit = next_to_start()) {
        // Another sweep may have come to it since we looked.
        note_look(*unit, look_at_run(unit->run.dir));
        if (unit->phase == Phase::queued) start(*unit);
    }
}

void SweepWork::start(SweepUnit& unit) {
    const auto place =
        std::find_if(places_.begin(), places_.end(), [](const SweepPlace& p) { return !p.taken; });
    require(place != places_.end(), "a sweep starts a run without a place for it");
    ChildOptions child{train_arguments(unit.run, file_.lock, options_.threads),
                       unit.run.dir / kLogName, place->cpus};
    child.program = options_.program;
    child.environment = {{"OMP_NUM_THREADS", std::to_string(options_.threads)},
                         {"OMP_WAIT_POLICY", "passive"}};
    if (!place->gpu.empty()) child.environment.emplace_back("CUDA_VISIBLE_DEVICES", place->gpu);
    if (const std::string rate = gemm_rate_.of(unit.run.config); !rate.empty())
        child.environment.emplace_back(kGemmRateVariable, rate);
    unit.kills_before = out_of_memory_kills();
    unit.start_fraction = unit.reached;
    unit.started = Clock::now();
    unit.culled_for.clear();
    try {
        if (set_aside_remains(unit.run.dir, file_.out))
            say(true, "set aside  {}: remains without a config.toml, now in {}", unit.name(),
                (file_.out / ".old").string());
        make_folder(unit.run.dir);
        std::error_code none;
        const std::uintmax_t size = fs::file_size(unit.log(), none);
        unit.log_before = none ? 0 : size;
        unit.process.emplace(child);
    } catch (const IoError& e) {
        const RunEnd end{.exit = kInputOutput};
        return failed(unit, end, after_end(end, unit.failures, at_a_time_, options_.retry),
                      e.what());
    }
    unit.phase = Phase::child;
    unit.place = static_cast<int>(place - places_.begin());
    place->taken = true;
    say(false, "start      {}  {}{}", unit.name(), place->text(),
        unit.start_fraction > 0 ? fmt::format("  from {:.0f}%", 100 * unit.start_fraction) : "");
}

// ---- the whole

// Those taken over from a dead sweep, too: for people they belong to this one.
void SweepWork::ask_all_to_stop() {
    if (asked_) return;
    asked_ = true;
    long n = 0;
    for (const SweepUnit& u : units_) {
        if (u.phase == Phase::child) u.process->ask_to_stop(), ++n;
        if (u.orphan && is_running(*u.look.holder) == std::optional(true))
            ::kill(static_cast<pid_t>(u.look.holder->pid), SIGTERM), ++n;
    }
    if (n > 0)
        say(true, "stopping: {} write{} a checkpoint", n == 1 ? "1 run" : fmt::format("{} runs", n),
            n == 1 ? "s" : "");
}

bool SweepWork::busy() const {
    return std::any_of(units_.begin(), units_.end(),
                       [](const SweepUnit& u) { return u.phase == Phase::child || u.orphan; });
}

bool SweepWork::work_left() const {
    return std::any_of(units_.begin(), units_.end(),
                       [](const SweepUnit& u) { return u.phase != Phase::over; });
}

SweepSnapshot SweepWork::snapshot() const {
    SweepSnapshot s = snapshot_of(units_, places_, at_a_time_, options_.retry.retries + 1, rate_);
    s.name = file_.name;
    s.best = best_.text();
    return s;
}

void SweepWork::show() const {
    if (observer_.board && observer_.board_due && observer_.board_due())
        observer_.board(snapshot());
}

void SweepWork::wait() const {
    std::vector<int> lines;
    for (const SweepUnit& u : units_)
        if (u.phase == Phase::child) lines.push_back(u.process->life_line());
    wait_for_end(lines, std::chrono::milliseconds(100));
}

SweepResult SweepWork::run() {
    while (true) {
        reap();
        look_again();
        cull();
        stopping_ = stop_ || !stopped_for_.empty();
        if (stopping_) {
            ask_all_to_stop();
            if (!busy()) break;
        } else {
            replan_if_tuned();
            start_what_fits();
            if (!work_left()) break;
        }
        show();
        wait();
    }
    SweepResult result{SweepOutcome::all_done, snapshot(), 0, stopped_for_};
    for (const auto& [group, runs] : blocked_) result.pending += runs;
    if (!stopped_for_.empty() || result.last.counts.failed > 0 || result.pending > 0)
        result.outcome = SweepOutcome::some_failed;
    if (stop_ && work_left()) result.outcome = SweepOutcome::interrupted;
    return result;
}

SweepResult run_sweep(SweepPlan plan, const std::function<SweepPlan()>& replan,
                      const SweepRunOptions& options, const SweepObserver& observer,
                      const StopFlag& stop) {
    return SweepWork(std::move(plan), replan, options, observer, stop).run();
}

}  // namespace plumb
