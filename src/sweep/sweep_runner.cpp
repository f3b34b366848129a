#include "sweep/sweep_runner.h"

#include "core/exit_code.h"
#include "core/files.h"
#include "core/text.h"
#include "sweep/memory_admission.h"
#include "sweep/sweep_places.h"
#include "sweep/sweep_results.h"
#include "sweep/sweep_unit.h"
#include "sweep/work_rate.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

namespace plumb {
namespace fs = std::filesystem;
namespace {

using Phase = SweepUnit::Phase;
using std::chrono::milliseconds;
using std::chrono::seconds;

double since(SweepClock::time_point t) {
    return std::chrono::duration<double>(SweepClock::now() - t).count();
}

// True if the process lives on without the one that started it.
bool is_orphan(const ProcessId& p) {
    if (is_running(p) != std::optional(true)) return false;
    const long parent = parent_of(p.pid);
    std::string name;
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", parent)), name);
    return parent == 1 || name == "systemd";
}

class Runner {
public:
    Runner(SweepPlan plan, const std::function<SweepPlan()>& replan, const SweepRunOptions& options,
           const SweepObserver& observer, const StopFlag& stop)
        : options_(options),
          observer_(observer),
          stop_(stop),
          replan_(replan),
          places_(make_places(allowed_cpus(), options.jobs, options.threads, options.gpus)),
          at_a_time_(static_cast<int>(places_.size())),
          memory_(options.memory.value_or(free_memory().for_runs())) {
        take_plan(std::move(plan));
    }

    SweepResult run();

private:
    void take_plan(SweepPlan plan);
    void note_look(SweepUnit& unit, const RunLook& look);
    void take_over(SweepUnit& unit);

    void reap();
    void ended(SweepUnit& unit, const RunEnd& end);
    void failed(SweepUnit& unit, const RunEnd& end, AfterEnd what);
    void count_fault(const SweepUnit& unit, const RunEnd& end);
    void release(SweepUnit& unit);
    void look_again_at_held();
    void replan_if_tuned();
    bool still_tuning(const PendingRuns& pending) const;

    void start_what_fits();
    SweepUnit* next_to_start();
    void start(SweepUnit& unit);
    void ask_all_to_stop();

    bool busy() const;       // something of ours goes on
    bool work_left() const;  // or may yet
    void show(bool force = false);
    SweepSnapshot snapshot() const;
    void wait() const;
    template <class... Args>
    void say(bool important, fmt::format_string<Args...> text, Args&&... args) const {
        if (observer_.event)
            observer_.event(fmt::format(text, std::forward<Args>(args)...), important);
    }
    std::string log_of(const SweepUnit& u) const { return (u.run.dir / kLogName).string(); }

    const SweepRunOptions& options_;
    const SweepObserver& observer_;
    const StopFlag& stop_;
    const std::function<SweepPlan()>& replan_;
    SweepFile file_;
    std::vector<PendingRuns> pending_;
    std::vector<SweepUnit> units_;
    std::vector<SweepPlace> places_;
    int at_a_time_;
    double memory_;
    BestResult best_;
    WorkRate rate_;
    SweepClock::time_point looked_ = SweepClock::now();
    std::size_t first_ = 0;            // where the search for the next run begins
    int faults_ = 0, last_fault_ = 0;  // equal ends by a fault of the program, in a row
    long blocked_ = 0;                 // runs of the second stage whose tuning has failed
    std::string stopped_for_;
    bool stopping_ = false, asked_ = false;
    std::minstd_rand random_{std::random_device{}()};
};

// ---- what there is to do

void Runner::take_plan(SweepPlan plan) {
    std::map<std::string, bool> known;
    for (const SweepUnit& u : units_) known[u.run.id] = true;
    file_ = std::move(plan.file);
    pending_ = std::move(plan.pending);
    for (PlannedRun& run : plan.runs) {
        if (known.contains(run.id)) continue;
        if (!fits(run.memory, 0, memory_))
            throw UsageError(fmt::format(
                "{} plans with {} of memory, and there are {} for all runs ({:.0f}% of what is "
                "free); make train.batch, model.context or the model smaller. Nothing was started",
                run.dir.filename().string(), human_bytes(run.memory), human_bytes(memory_),
                100 * kMemoryShare));
        units_.push_back({.run = std::move(run)});
    }
    for (SweepUnit& u : units_)
        if (!known.contains(u.run.id)) note_look(u, look_at_run(u.run.dir));
}

void Runner::note_look(SweepUnit& unit, const RunLook& look) {
    unit.look = look;
    unit.phase = is_over(look.word)   ? Phase::over
                 : is_held(look.word) ? Phase::held
                                      : Phase::queued;
    if (unit.phase == Phase::held) take_over(unit);
    if (look.word == RunWord::done) best_.add(unit.run, file_.metric);
}

// A run whose sweep was killed goes on in the cores that it has: they are not free.
void Runner::take_over(SweepUnit& unit) {
    if (unit.orphan || !unit.look.holder || !is_orphan(*unit.look.holder)) return;
    unit.orphan = true;
    cpu_set_t set;
    const bool known =
        ::sched_getaffinity(static_cast<pid_t>(unit.look.holder->pid), sizeof set, &set) == 0;
    const auto free = [&](auto&& good) {
        for (std::size_t i = 0; i < places_.size() && unit.slot < 0; ++i)
            if (!places_[i].taken && good(places_[i])) unit.slot = static_cast<int>(i);
    };
    free([&](const SweepPlace& p) {
        return known && CPU_ISSET(static_cast<std::size_t>(p.cpus[0]), &set);
    });
    free([](const SweepPlace&) { return true; });
    if (unit.slot >= 0) places_[static_cast<std::size_t>(unit.slot)].taken = true;
    say(false, "going on   {}  (pid {} of a sweep that has ended)", unit.name(),
        unit.look.holder->pid);
}

// ---- what has ended

void Runner::release(SweepUnit& unit) {
    if (unit.slot >= 0) places_[static_cast<std::size_t>(unit.slot)].taken = false;
    unit.slot = -1;
    unit.orphan = false;
    unit.process.reset();
}

void Runner::reap() {
    for (SweepUnit& unit : units_) {
        if (unit.phase != Phase::child) continue;
        if (auto end = unit.process->ended()) {
            end->out_of_memory =
                end->signal == SIGKILL && out_of_memory_kills() > unit.kills_before;
            ended(unit, *end);
        }
    }
}

void Runner::ended(SweepUnit& unit, const RunEnd& end) {
    const double took = since(unit.started);
    release(unit);
    unit.look = look_at_run(unit.run.dir);
    const AfterEnd what = after_end(end, unit.failures, at_a_time_, options_.retry);
    if (what == AfterEnd::over) {
        unit.phase = Phase::over;
        faults_ = 0;
        rate_.add(unit.weight() * (1 - unit.start_fraction), took);
        if (end.exit == kDiverged) {
            unit.look.word = RunWord::diverged;
            return say(false, "diverged   {}  {}  {}", unit.name(), human_seconds(took),
                       last_words(unit.run.dir));
        }
        unit.look.word = RunWord::done;
        const auto loss = best_.add(unit.run, file_.metric);
        return say(false, "done       {}  {}{}", unit.name(), human_seconds(took),
                   loss ? fmt::format("  {} {:.4f}", file_.metric, *loss) : "");
    }
    if (stopping_) {  // asked to, or its failure can wait for the next time
        unit.phase = Phase::queued;
        return say(false, "stopped    {}", unit.name());
    }
    if (what == AfterEnd::busy && (is_over(unit.look.word) || is_held(unit.look.word))) {
        // Another sweep was first: the next search begins elsewhere, so that the two part.
        first_ = units_.empty() ? 0 : random_() % units_.size();
        return note_look(unit, unit.look);
    }
    failed(unit, end, what == AfterEnd::busy ? AfterEnd::retry : what);
}

void Runner::failed(SweepUnit& unit, const RunEnd& end, AfterEnd what) {
    const std::string words = last_words(unit.run.dir);
    unit.why = end.signal != 0 || words.empty()
                   ? text_of(end) + (words.empty() ? "" : "; last: " + words)
                   : words;
    unit.phase = Phase::queued;
    std::string next;
    if (what == AfterEnd::retry_less) {
        at_a_time_ = std::max(1, at_a_time_ / 2);
        next = fmt::format("again, with at most {} at a time", at_a_time_);
    } else {
        ++unit.failures;
        if (what == AfterEnd::retry) {
            const milliseconds pause = wait_before(unit.failures, options_.retry);
            unit.not_before = SweepClock::now() + pause;
            next = "again in " + human_seconds(static_cast<double>(pause.count()) / 1000);
        } else {
            unit.phase = Phase::over;
            unit.given_up = true;
            next = what == AfterEnd::bug ? "not tried again" : "given up";
        }
    }
    say(true, "failed     {} (attempt {} of {}): {}; {}; log: {}", unit.name(), unit.failures,
        options_.retry.retries + 1, unit.why, next, log_of(unit));
    if (what == AfterEnd::bug) count_fault(unit, end);
    if (options_.fail_fast && unit.given_up && stopped_for_.empty())
        stopped_for_ = fmt::format("--fail-fast: {} failed", unit.name());
}

void Runner::count_fault(const SweepUnit& unit, const RunEnd& end) {
    constexpr int kMost = 3;
    const int fault = end.signal != 0 ? 128 + end.signal : end.exit;
    faults_ = fault == last_fault_ ? faults_ + 1 : 1;
    last_fault_ = fault;
    if (faults_ >= kMost && stopped_for_.empty())
        stopped_for_ =
            fmt::format("{} runs in a row ended with {}: {}", kMost, text_of(end), unit.why);
}

void Runner::look_again_at_held() {
    if (since(looked_) < 0.25) return;
    looked_ = SweepClock::now();
    for (SweepUnit& unit : units_) {
        if (unit.phase != Phase::held) continue;
        const RunLook look = look_at_run(unit.run.dir);
        if (is_held(look.word)) {
            unit.look = look;
            take_over(unit);
            continue;
        }
        release(unit);
        note_look(unit, look);
        if (look.word == RunWord::failed)
            unit.not_before = SweepClock::now() + wait_before(1, options_.retry);
        if (is_over(look.word))
            say(false, "{:<10} {}  (by another process)", text_of(look.word), unit.name());
    }
}

// ---- the second stage

bool Runner::still_tuning(const PendingRuns& pending) const {
    return std::any_of(units_.begin(), units_.end(), [&](const SweepUnit& u) {
        if (u.run.stage != "tune" || u.phase == Phase::over) return false;
        if (!pending.variant.empty() && u.run.variant != pending.variant) return false;
        return std::all_of(pending.group.begin(), pending.group.end(), [&](const auto& value) {
            const auto at = u.run.point.find(value.first);
            return at == u.run.point.end() || at->second == value.second;
        });
    });
}

void Runner::replan_if_tuned() {
    const auto ready = [&](const PendingRuns& p) { return !still_tuning(p); };
    if (!replan_ || std::none_of(pending_.begin(), pending_.end(), ready)) return;
    const std::size_t before = units_.size(), waiting = pending_.size();
    take_plan(replan_());
    if (units_.size() > before) {
        say(true, "tuned: {} more runs are planned", units_.size() - before);
        return;
    }
    // Some of its runs have failed for good: nothing will come of that group.
    if (pending_.size() == waiting)
        std::erase_if(pending_, [&](const PendingRuns& p) {
            if (!ready(p)) return false;
            blocked_ += p.runs;
            return true;
        });
}

// ---- what starts

SweepUnit* Runner::next_to_start() {
    double running = 0;
    int n = 0;
    for (const SweepUnit& u : units_)
        if (u.phase == Phase::child)
            running += u.run.memory, ++n;
        else if (u.orphan)
            ++n;
    if (n >= at_a_time_) return nullptr;
    const auto now = SweepClock::now();
    for (std::size_t i = 0; i < units_.size(); ++i) {
        SweepUnit& u = units_[(first_ + i) % units_.size()];
        if (u.phase == Phase::queued && u.not_before <= now && fits(u.run.memory, running, memory_))
            return &u;
    }
    return nullptr;
}

void Runner::start_what_fits() {
    while (SweepUnit* unit = next_to_start()) {
        // Another sweep may have come to it since we looked.
        note_look(*unit, look_at_run(unit->run.dir));
        if (unit->phase == Phase::queued) start(*unit);
    }
}

void Runner::start(SweepUnit& unit) {
    const auto place =
        std::find_if(places_.begin(), places_.end(), [](const SweepPlace& p) { return !p.taken; });
    require(place != places_.end(), "a sweep starts a run without a place for it");
    ChildOptions child{train_arguments(unit.run, file_.lock, options_.threads),
                       unit.run.dir / kLogName, place->cpus};
    child.program = options_.program;
    child.environment = {{"OMP_NUM_THREADS", std::to_string(options_.threads)},
                         {"OMP_WAIT_POLICY", "passive"}};
    if (!place->gpu.empty()) child.environment.emplace_back("CUDA_VISIBLE_DEVICES", place->gpu);
    unit.kills_before = out_of_memory_kills();
    unit.start_fraction = unit.fraction_at(pace_of(unit.run.dir).step);
    unit.started = SweepClock::now();
    try {
        make_folder(unit.run.dir);
        unit.process.emplace(child);
    } catch (const IoError& e) {
        say(true, "cannot start {}: {}", unit.name(), e.what());
        return failed(unit, {.exit = kInputOutput},
                      after_end({.exit = kInputOutput}, unit.failures, at_a_time_, options_.retry));
    }
    unit.phase = Phase::child;
    unit.slot = static_cast<int>(place - places_.begin());
    place->taken = true;
    say(false, "start      {}  {}{}", unit.name(), place->text(),
        unit.start_fraction > 0 ? fmt::format("  from {:.0f}%", 100 * unit.start_fraction) : "");
}

// ---- the whole

// Those taken over from a dead sweep, too: for people they belong to this one.
void Runner::ask_all_to_stop() {
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

bool Runner::busy() const {
    return std::any_of(units_.begin(), units_.end(),
                       [](const SweepUnit& u) { return u.phase == Phase::child || u.orphan; });
}

bool Runner::work_left() const {
    return std::any_of(units_.begin(), units_.end(),
                       [](const SweepUnit& u) { return u.phase != Phase::over; });
}

SweepSnapshot Runner::snapshot() const {
    SweepSnapshot s;
    s.name = file_.name;
    double all = 0, done = 0;
    WorkRate rate = rate_;
    for (const SweepUnit& u : units_) {
        SweepCounts& c = s.counts;
        ++c.total;
        const double weight = u.weight();
        all += weight;
        if (u.phase == Phase::over) done += weight;
        if (u.given_up)
            ++c.failed;
        else if (u.phase == Phase::over)
            ++(u.look.word == RunWord::done     ? c.done
               : u.look.word == RunWord::culled ? c.culled
                                                : c.diverged);
        else if (u.phase == Phase::queued)
            ++c.queued;
        else
            ++(u.look.word == RunWord::elsewhere ? c.elsewhere : c.running);
        if (!u.why.empty() && u.look.word != RunWord::done)
            s.failed.push_back(
                {u.name(), u.why, log_of(u), u.failures, options_.retry.retries + 1, u.given_up});
        if (u.phase != Phase::child && u.phase != Phase::held) continue;
        const RunPace pace = pace_of(u.run.dir);
        const double fraction = u.fraction_at(pace.step);
        done += weight * fraction;
        if (u.phase == Phase::child)
            rate.add(weight * (fraction - u.start_fraction), since(u.started));
        s.running.push_back(
            {u.name(), pace.step, u.run.config.train.steps, pace.loss, pace.tokens_per_s,
             u.slot >= 0 ? places_[static_cast<std::size_t>(u.slot)].text()
             : u.look.word == RunWord::elsewhere && u.look.holder ? "on " + u.look.holder->host
                                                                  : "other"});
    }
    s.fraction = all > 0 ? done / all : 1;
    s.eta_s = rate.seconds_for(
        all - done, std::min(at_a_time_, static_cast<int>(s.counts.queued + s.counts.running)));
    s.best = best_.text();
    return s;
}

void Runner::show(bool force) {
    if (observer_.board && (force || !observer_.board_due || observer_.board_due()))
        observer_.board(snapshot());
}

void Runner::wait() const {
    std::vector<int> lines;
    for (const SweepUnit& u : units_)
        if (u.phase == Phase::child) lines.push_back(u.process->life_line());
    wait_for_end(lines, milliseconds(100));
}

SweepResult Runner::run() {
    while (true) {
        reap();
        look_again_at_held();
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
    SweepResult result{SweepOutcome::all_done, snapshot(), blocked_, stopped_for_};
    if (!stopped_for_.empty() || result.last.counts.failed > 0 || blocked_ > 0)
        result.outcome = SweepOutcome::some_failed;
    if (stop_ && work_left()) result.outcome = SweepOutcome::interrupted;
    return result;
}

}  // namespace

SweepResult run_sweep(SweepPlan plan, const std::function<SweepPlan()>& replan,
                      const SweepRunOptions& options, const SweepObserver& observer,
                      const StopFlag& stop) {
    return Runner(std::move(plan), replan, options, observer, stop).run();
}

}  // namespace plumb
