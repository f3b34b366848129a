// TensorBoard event files, written by hand: TFRecord frames around Event protocol buffers (fields
// of tensorboard/compat/proto/{event,summary,histogram}.proto). `tensorboard --logdir runs` shows
// them.
#pragma once

#include "core/files.h"
#include "core/view.h"

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plumb {

// Counts of values: bucket i holds those in (limits[i-1], limits[i]]; the first has no lower end.
struct EventHistogram {
    double min = 0, max = 0;
    double n = 0, sum = 0, sum_squares = 0;
    std::vector<double> limits, counts;  // of one length, limits increasing
};

// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78).
std::uint32_t crc32c(std::string_view bytes);
// A record as it stands in the file: length, masked CRC of the length, bytes, masked CRC of them.
std::string tf_record(std::string_view bytes);
// Serialized Event messages. wall_time: seconds since 1970.
std::string version_event(double wall_time);
// What makes TensorBoard forget the events of this step and later ones: they come again.
std::string session_start_event(double wall_time, Index step);
// description: what TensorBoard shows beside the chart; "": nothing.
std::string scalar_event(double wall_time, Index step, std::string_view tag, float value,
                         std::string_view description = "");
std::string histogram_event(double wall_time, Index step, std::string_view tag,
                            const EventHistogram& histogram, std::string_view description = "");

// A new file events.out.tfevents.TIME.HOST.PID in a folder. Events are collected in memory and
// written as whole records by flush() and by the destructor; only flush() reports a full disk.
class EventFile {
public:
    explicit EventFile(const std::filesystem::path& folder);
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;
    ~EventFile();

    void session_start(Index step);
    // Events carry the time of the call; the first of a tag in this file carries its description.
    void scalar(Index step, const std::string& tag, double value,
                std::string_view description = "");
    void histogram(Index step, const std::string& tag, const EventHistogram& histogram,
                   std::string_view description = "");
    void flush();
    const std::filesystem::path& path() const { return file_.path(); }

private:
    OutputFile file_;
    std::string pending_;
    std::set<std::string> described_;  // tags
};

}  // namespace plumb
