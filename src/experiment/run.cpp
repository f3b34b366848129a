#include "experiment/run.h"

#include "core/json.h"
#include "core/size.h"
#include "experiment/run_lock.h"
#include "experiment/run_session.h"

namespace plumb {
namespace fs = std::filesystem;
namespace {

RunResult already_ended(const fs::path& run, const std::string& status) {
    return {status == "done" ? RunOutcome::already_done : RunOutcome::already_diverged,
            read_json_object(run / "summary.json")};
}

// --init-from RUN says the newest checkpoint; the run keeps which that was, so that it starts from
// the same one however often it is started.
Config with_settled_start(Config config, const fs::path& out) {
    std::string& from = config.train.init_from;
    if (from.empty()) return config;
    const CheckpointName name = parse_checkpoint_name(from);
    if (!name.which.empty()) return config;
    std::error_code ignored;
    if (fs::exists(out / "config.toml", ignored)) {
        const std::string before = load_run_config(out).train.init_from;
        if (!before.empty() && parse_checkpoint_name(before).run == name.run)
            return from = before, config;
    }
    from = CheckpointName{name.run, std::to_string(load_model(name).step())}.text();
    return config;
}

// Before the lock, so that what is refused leaves no trace. A process at work in the folder
// explains whatever else is wrong with it.
RunStart inspect_unless_busy(const RunOptions& options) {
    RunLock::refuse_if_busy(options.out);
    try {
        return inspect_run_directory(options.out, options.resume, options.config);
    } catch (const std::exception&) {
        RunLock::refuse_if_busy(options.out);
        throw;
    }
}

}  // namespace

RunResult run_training(const RunOptions& asked, const RunObserver& observer, const StopFlag& stop) {
    RunOptions options = asked;
    options.config = with_settled_start(asked.config, asked.out);
    RunStart start = inspect_unless_busy(options);
    if (!start.ended.empty()) return already_ended(options.out, start.ended);
    RunPlan plan = plan_run(options.config, options.context);
    check_memory(plan.trainer->planned_bytes());
    RunLock lock(options.out, options.lock);
    // Again: another process may have been here before the lock was ours.
    start = inspect_run_directory(options.out, options.resume, options.config);
    if (!start.ended.empty()) return already_ended(options.out, start.ended);
    return Session(options, observer, std::move(plan), std::move(start), lock).run(stop);
}

}  // namespace plumb
