// TensorBoard event files, written by hand: TFRecord frames around Event protocol buffers (fields
// of tensorboard/compat/proto/{event,summary,histogram}.proto). `tensorboard --logdir runs` shows
// them.
#pragma once

#include "core/files.h"
#include "core/view.h"

#include <filesystem>
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
std::string scalar_event(double wall_time, Index step, std::string_view tag, float value);
std::string histogram_event(double wall_time, Index step, std::string_view tag,
                            const EventHistogram& histogram);

// A new file events.out.tfevents.TIME.HOST.PID in a folder. Events are collected in memory and
// written as whole records by flush() and by the destructor; only flush() reports a full disk.
class EventFile {
public:
    explicit EventFile(const std::filesystem::path& folder);
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;
    ~EventFile();

    // Events carry the time of the call.
    void scalar(Index step, std::string_view tag, double value);
    void histogram(Index step, std::string_view tag, const EventHistogram& histogram);
    void flush();
    const std::filesystem::path& path() const { return file_.path(); }

private:
    OutputFile file_;
    std::string pending_;
};

}  // namespace plumb
