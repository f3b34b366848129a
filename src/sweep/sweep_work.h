// The work of `plumb sweep run`. Internal to sweep/; callers have run_sweep (sweep/sweep_runner.h).
#pragma once

#include "sweep/cull.h"
#include "sweep/shared_gemm_rate.h"
#include "sweep/sweep_results.h"
#include "sweep/sweep_runner.h"

#include <map>
#include <random>

namespace plumb {

class SweepWork {
public:
    SweepWork(SweepPlan plan, const std::function<SweepPlan()>& replan,
              const SweepRunOptions& options, const SweepObserver& observer, const StopFlag& stop);

    SweepResult run();

private:
    void take_plan(SweepPlan plan);
    void require_memory() const;  // throws UsageError for what can never start
    void note_look(SweepUnit& unit, const RunLook& look);
    void take_over(SweepUnit& unit);

    // Ends: sweep_ends.cpp.
    void reap();
    void ended(SweepUnit& unit, const RunEnd& end);
    void has_result(SweepUnit& unit, const RunEnd& end);
    void failed(SweepUnit& unit, const RunEnd& end, AfterEnd what, const std::string& words);
    void count_fault(const SweepUnit& unit, const RunEnd& end);
    void release(SweepUnit& unit);
    void look_again();  // at what others hold, and at what waits for its next attempt
    void cull();

    void replan_if_tuned();
    void start_what_fits();
    SweepUnit* next_to_start();
    void start(SweepUnit& unit);
    void ask_all_to_stop();
    bool busy() const;       // something of ours goes on
    bool work_left() const;  // or may yet
    SweepSnapshot snapshot() const;
    void show() const;
    void wait() const;

    template <class... Args>
    void say(bool important, fmt::format_string<Args...> text, Args&&... args) const {
        if (observer_.event)
            observer_.event(fmt::format(text, std::forward<Args>(args)...), important);
    }

    const SweepRunOptions& options_;
    const SweepObserver& observer_;
    const StopFlag& stop_;
    const std::function<SweepPlan()>& replan_;
    SweepFile file_;
    std::vector<PendingRuns> pending_;
    std::vector<SweepUnit> units_;
    std::vector<SweepPlace> places_;
    int at_a_time_;
    double memory_;  // bytes that all may plan with
    BestResult best_;
    Culling culling_;
    SharedGemmRate gemm_rate_;
    WorkRate rate_;
    Clock::time_point looked_{}, culled_{};  // when last
    std::size_t first_ = 0;                  // where the search for the next run begins
    int faults_ = 0, last_fault_ = 0;        // equal ends by a fault of the program, in a row
    // Groups of the second stage whose tuning has failed, and how many runs they have.
    std::map<std::pair<std::string, SweepPoint>, long> blocked_;
    std::string stopped_for_;
    bool stopping_ = false, asked_ = false;
    bool ended_since_plan_ = true;  // a run: the second stage may have become known
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace plumb
