#include "run/attempts.h"

#include "core/clock.h"
#include "core/exit_code.h"
#include "core/files.h"
#include "core/json.h"
#include "core/memory_use.h"
#include "core/process.h"
#include "formats/jsonl.h"
#include "plumb/git_info.h"
#include "run/run_condition.h"

#include <algorithm>

namespace plumb {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

// An object, or an empty one for a file that is missing or damaged: times are worth no refusal.
Json read_object(const fs::path& file) {
    try {
        return read_json_object(file);
    } catch (const IoError&) {
        return Json::object();
    }
}

double number_or_0(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

// Of an entry of timing.json only what was before `step`: what came later is done again. The time
// in proportion.
void keep_until(Json& attempt, long step) {
    const double from = number_or_0(attempt, "from_step"), to = number_or_0(attempt, "to_step");
    const auto end = std::max(from, static_cast<double>(step));
    if (!attempt.is_object() || to <= end) return;
    attempt["to_step"] = static_cast<long>(end);
    attempt["time_s"] = number_or_0(attempt, "time_s") * (end - from) / (to - from);
}

// A process may be killed between its line and the release of its lock.
template <class Lines>
bool has_line(const Lines& lines, const Json& holder) {
    return std::any_of(lines.begin(), lines.end(), [&](const auto& line) {
        return line.value("attempt", -1) == holder.value("attempt", 0) &&
               line.value("pid", -1) == holder.value("pid", 0);
    });
}

}  // namespace

Attempt::Attempt(fs::path run, RunLock& lock, const AttemptFacts& facts, long from_step)
    : run_(std::move(run)), lock_(lock), facts_(facts), from_step_(from_step), start_(utc_now()) {
    JsonlFile file(run_ / "attempts.jsonl");
    const auto lines = read_jsonl(run_ / "attempts.jsonl");
    if (lock_.previous() && lock_.previous()->contains("attempt") &&
        !has_line(lines, *lock_.previous())) {
        Json dead;
        for (const auto& [key, value] : lock_.previous()->items())
            if (key != "boot_id" && key != "start_ticks" && key != "since" && key != "plumb" &&
                key != "before")
                dead[key] = value;
        dead["end"] = nullptr;
        // How far it came, which may be nowhere.
        dead["to_step"] =
            std::max(static_cast<long>(number_or_0(dead, "from_step")), last_logged_step(run_));
        dead["exit"] = nullptr;
        dead["why"] = "killed: it did not come to write this line";
        file.write(dead);
    }
    number_ = 1 + static_cast<int>(read_jsonl(run_ / "attempts.jsonl").size());
    earlier_ = read_object(run_ / "timing.json").value("attempts", Json::array());
    if (!earlier_.is_array()) earlier_ = Json::array();
    for (Json& a : earlier_) keep_until(a, from_step_);
    lock_.describe({{"attempt", number_},
                    {"start", start_},
                    {"commit", git_commit()},
                    {"numerics", facts_.numerics},
                    {"device", facts_.device},
                    {"threads", facts_.threads},
                    {"from_step", from_step_}});
    save_times(from_step_, 0);
}

void Attempt::save_times(long step, double seconds) const {
    const auto rate = [&](double steps, double s) {
        return s > 0 ? steps * static_cast<double>(facts_.tokens_per_step) / s : 0.0;
    };
    const auto memory = memory_use();
    Json attempts = earlier_;
    attempts.push_back(
        {{"attempt", number_},
         {"host", host_name()},
         {"device", facts_.device},
         {"threads", facts_.threads},
         {"from_step", from_step_},
         {"to_step", step},
         {"time_s", seconds},
         {"tok_per_s", rate(static_cast<double>(step - from_step_), seconds)},
         {"peak_memory_bytes", static_cast<std::int64_t>(memory ? memory->peak : 0.0)}});
    double all_s = 0, steps = 0, peak = 0;
    for (const Json& a : attempts) {
        all_s += number_or_0(a, "time_s");
        steps += number_or_0(a, "to_step") - number_or_0(a, "from_step");
        peak = std::max(peak, number_or_0(a, "peak_memory_bytes"));
    }
    const Json out{{"schema", 2},
                   {"time_s", all_s},
                   {"tok_per_s", rate(steps, all_s)},
                   {"peak_memory_bytes", static_cast<std::int64_t>(peak)},
                   {"device", facts_.device},
                   {"threads", facts_.threads},
                   {"attempts", attempts}};
    write_file(run_ / "timing.json", out.dump(2) + "\n");
}

void Attempt::end(long to_step, int exit, const std::string& why) {
    ended_ = true;
    JsonlFile file(run_ / "attempts.jsonl");
    file.write({{"attempt", number_},
                {"host", host_name()},
                {"pid", this_process().pid},
                {"commit", git_commit()},
                {"numerics", facts_.numerics},
                {"device", facts_.device},
                {"threads", facts_.threads},
                {"start", start_},
                {"end", utc_now()},
                {"from_step", from_step_},
                {"to_step", to_step},
                {"exit", exit},
                {"why", why}});
    file.flush();
}

Attempt::~Attempt() {
    if (ended_) return;
    try {
        lock_.check();
        end(last_logged_step(run_), kInternal, "an error that nobody foresaw");
    } catch (const std::exception&) {  // the folder is not to be written any more
    }
}

RunTimes run_times(const fs::path& run) {
    Json json = read_object(run / "timing.json");
    if (json.empty()) json = read_object(run / "summary.json");
    return {number_or_0(json, "time_s"), number_or_0(json, "tok_per_s")};
}

}  // namespace plumb
