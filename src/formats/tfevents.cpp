#include "formats/tfevents.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/process.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>

namespace plumb {
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "records are little-endian");

namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t c = i;
        for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0u);
        table[i] = c;
    }
    return table;
}

// Stored CRCs are rotated and shifted, so that the CRC of data holding CRCs stays useful.
std::uint32_t masked_crc(std::string_view bytes) {
    return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

template <class T>
std::string raw(T value) {
    std::string out(sizeof value, '\0');
    std::memcpy(out.data(), &value, sizeof value);
    return out;
}

// ---- protocol buffers: key = field << 3 | wire type --------------------------------------------

std::string varint(std::uint64_t x) {
    std::string out;
    for (; x >= 0x80; x >>= 7) out += static_cast<char>(x | 0x80);
    return out + static_cast<char>(x);
}
std::string key(unsigned field, unsigned wire) { return varint(field << 3 | wire); }

std::string int64_field(unsigned field, Index x) {
    return key(field, 0) + varint(static_cast<std::uint64_t>(x));
}
std::string double_field(unsigned field, double x) { return key(field, 1) + raw(x); }
std::string float_field(unsigned field, float x) { return key(field, 5) + raw(x); }
std::string bytes_field(unsigned field, std::string_view bytes) {
    return key(field, 2) + varint(bytes.size()) + std::string(bytes);
}
std::string packed_doubles(unsigned field, std::span<const double> xs) {
    return bytes_field(field, {reinterpret_cast<const char*>(xs.data()), xs.size_bytes()});
}

// Event{wall_time = 1, step = 2, summary = 5 {value = 1 {tag = 1, ..., metadata = 9 {plugin_data =
// 1 {plugin_name = 1}, summary_description = 3}}}}
std::string summary_event(double wall_time, Index step, std::string_view tag,
                          const std::string& value, std::string_view plugin,
                          std::string_view description) {
    const std::string metadata =
        bytes_field(1, bytes_field(1, plugin)) + bytes_field(3, description);
    const std::string summary = bytes_field(
        1, bytes_field(1, tag) + value + (description.empty() ? "" : bytes_field(9, metadata)));
    return double_field(1, wall_time) + int64_field(2, step) + bytes_field(5, summary);
}

fs::path event_name() {
    return fmt::format("events.out.tfevents.{:.6f}.{}.{}", unix_time(), host_name(), ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
    static constexpr auto table = crc_table();
    std::uint32_t c = 0xffffffffu;
    for (const char b : bytes) c = table[(c ^ static_cast<unsigned char>(b)) & 0xff] ^ (c >> 8);
    return ~c;
}

std::string tf_record(std::string_view bytes) {
    const std::string length = raw(static_cast<std::uint64_t>(bytes.size()));
    return length + raw(masked_crc(length)) + std::string(bytes) + raw(masked_crc(bytes));
}

std::string version_event(double wall_time) {
    return double_field(1, wall_time) + bytes_field(3, "brain.Event:2");
}

std::string session_start_event(double wall_time, Index step) {
    constexpr Index kStart = 1;  // SessionLog{status = 1: START}
    return double_field(1, wall_time) + int64_field(2, step) +
           bytes_field(7, int64_field(1, kStart));
}

std::string scalar_event(double wall_time, Index step, std::string_view tag, float value,
                         std::string_view description) {
    return summary_event(wall_time, step, tag, float_field(2, value), "scalars", description);
}

std::string histogram_event(double wall_time, Index step, std::string_view tag,
                            const EventHistogram& h, std::string_view description) {
    require(!h.limits.empty() && h.limits.size() == h.counts.size(),
            "a histogram has as many limits as counts");
    const std::string histo = double_field(1, h.min) + double_field(2, h.max) +
                              double_field(3, h.n) + double_field(4, h.sum) +
                              double_field(5, h.sum_squares) + packed_doubles(6, h.limits) +
                              packed_doubles(7, h.counts);
    return summary_event(wall_time, step, tag, bytes_field(5, histo), "histograms", description);
}

EventFile::EventFile(const fs::path& folder)
    : file_(folder / event_name(), OutputFile::Mode::append) {
    pending_ = tf_record(version_event(unix_time()));
    flush();
}

EventFile::~EventFile() {
    try {
        flush();
    } catch (const IoError&) {
        // Nobody is left to be told; flush() tells while there is.
    }
}

void EventFile::session_start(Index step) {
    pending_ += tf_record(session_start_event(unix_time(), step));
}

void EventFile::scalar(Index step, const std::string& tag, double value,
                       std::string_view description) {
    const bool first = described_.insert(tag).second;
    pending_ += tf_record(
        scalar_event(unix_time(), step, tag, static_cast<float>(value), first ? description : ""));
}

void EventFile::histogram(Index step, const std::string& tag, const EventHistogram& histogram,
                          std::string_view description) {
    const bool first = described_.insert(tag).second;
    pending_ +=
        tf_record(histogram_event(unix_time(), step, tag, histogram, first ? description : ""));
}

void EventFile::flush() {
    std::string records;
    records.swap(pending_);
    file_.write(records);
}

}  // namespace plumb
