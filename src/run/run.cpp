#include "run/run.h"

#include "core/json.h"
#include "core/size.h"
#include "core/text.h"
#include "run/run_lock.h"
#include "run/run_session.h"
#include "run/run_settings.h"
#include "run/start_weights.h"

namespace plumb {
namespace fs = std::filesystem;
namespace {

RunResult already_ended(const fs::path& run, const std::string& status) {
    return {status == "done" ? RunOutcome::already_done : RunOutcome::already_diverged,
            read_json_object(run / "summary.json")};
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
    if (start.continues)
        require_data_there(options.out, options.config.data,
                           fmt::format("plumb train --out {} --resume auto data.path=DIR",
                                       shell_quoted(options.out.string())));
    RunPlan plan = plan_run(options.config, options.context);
    if (!options.config.train.init_from.empty() && !start.checkpoint)
        require_fitting_weights(options.config, plan.trainer->model());
    check_memory(plan.trainer->planned_bytes());
    RunLock lock(options.out, options.lock);
    // Again: another process may have been here before the lock was ours.
    start = inspect_run_directory(options.out, options.resume, options.config);
    if (!start.ended.empty()) return already_ended(options.out, start.ended);
    return Session(options, observer, std::move(plan), std::move(start), lock).run(stop);
}

}  // namespace plumb
