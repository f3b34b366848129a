// What a run of the kernels found: checks with their errors and bounds, timings with the bytes
// counted and the floor that a copy of this device sets. Printed as it goes; JSON at the end.
#pragma once

#include <string>
#include <vector>

namespace plumb::test {

struct Check {
    std::string name;
    double error, bound;
    bool ok() const { return error <= bound; }  // a NaN is not
};
struct Timing {
    std::string name;
    double seconds;      // median of a launch
    double bytes;        // counted, 0: not a question of bytes
    double aim_seconds;  // 0: none
    double aim_rate;     // bytes per second, 0: none
};

class Report {
public:
    void add(const Check& c);
    void add(const Timing& t);
    void set_copy(double bytes_per_second) { copy_ = bytes_per_second; }
    double copy() const { return copy_; }
    // Of all checks.
    bool ok() const;
    std::size_t n_checks() const { return checks_.size(); }
    void write_json(const std::string& path, const std::string& device) const;

private:
    double copy_ = 0;
    std::vector<Check> checks_;
    std::vector<Timing> timings_;
};

// ||a - b|| / ||b||; NaN where a holds one.
double relative_error(const std::vector<double>& a, const std::vector<double>& b);

// The parts, in this order. A check that fails is in the report; an error of the device throws.
void check_primitives(Report& report);
void check_running_row(Report& report);
void check_sources(Report& report);
void check_streams(Report& report);
void check_stream_dots(Report& report);
void check_sinkhorn(Report& report);
void check_ops(Report& report);
void time_kernels(Report& report);

}  // namespace plumb::test
