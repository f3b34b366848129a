#include "bench/bench_report.h"

#include "bench/pass_report.h"
#include "core/provenance.h"
#include "core/text.h"

#include <algorithm>
#include <cmath>

namespace plumb {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string percent(double x, int digits = 1) { return fmt::format("{:.{}f}", 100 * x, digits); }
std::string milliseconds(double seconds) { return fmt::format("{:.4g}", 1e3 * seconds); }
std::string megabytes(double bytes) { return fmt::format("{:.1f}", 1e-6 * bytes); }
std::string widths(double d) { return d > 0 ? fmt::format("{:.1f}", d) : "-"; }

std::string overhead(const Spread& o) {
    return fmt::format("{:+.1f} [{:+.1f}, {:+.1f}]", 100 * o.median, 100 * o.low, 100 * o.high);
}

std::string describe(const ShapeBench& s) {
    const std::string vocab =
        s.shape.vocab == kBenchVocab ? "" : fmt::format("vocabulary {}, ", s.shape.vocab);
    return fmt::format("{}: {} blocks, width {}, T {}, batch {}, {}{}", s.shape.name,
                       s.shape.layers, s.shape.width, s.shape.context, s.shape.batch, vocab,
                       s.precision);
}

double mixer_seconds(const MixerBench& row) {
    return row.parts.seconds[static_cast<std::size_t>(Part::mixer)];
}

// ---- tables ------------------------------------------------------------------------------------

TextTable comparison(const ShapeBench& s) {
    TextTable t{fmt::format("{}; {} rounds of {} steps; GEMM alone {:.0f} GFLOP/s", describe(s),
                            s.rounds, s.steps, 1e-9 * gemm_rate(s.gemm)),
                {"mixer", ">ms/step", ">over, %", ">tokens/s", ">of GEMM, %", ">plan, MB",
                 ">peak, MB", ">moved fwd", ">paper", ">moved step"},
                {}};
    for (const MixerBench& r : s.rows)
        t.rows.push_back({r.mixer.label, milliseconds(r.step.median), overhead(r.overhead),
                          thousands(std::llround(r.tokens_per_s)), percent(r.gemm_share),
                          megabytes(r.planned_bytes),
                          r.peak_bytes > 0 ? megabytes(r.peak_bytes) : "-", widths(r.moved_forward),
                          widths(r.paper_forward.value_or(0)), widths(r.moved_step)});
    return t;
}

TextTable split(const ShapeBench& s) {
    TextTable t{"where the time of a step goes, ms, " + describe(s), {"mixer"}, {}};
    for (std::size_t p = 0; p < kParts; ++p)
        t.titles.push_back(std::string(">") + part_name(static_cast<Part>(p)));
    t.titles.insert(t.titles.end(), {">rest", ">step"});
    for (const MixerBench& r : s.rows) {
        std::vector<std::string> row{r.mixer.label};
        for (const double x : r.parts.seconds) row.push_back(milliseconds(x));
        row.insert(row.end(), {milliseconds(r.parts.rest()), milliseconds(r.parts.total)});
        t.rows.push_back(row);
    }
    return t;
}

TextTable growth(const std::vector<ShapeBench>& shapes, const std::string& what) {
    TextTable t{
        fmt::format("cost against {}: shape {}, width {}, {}", what, shapes.front().shape.name,
                    shapes.front().shape.width, shapes.front().precision),
        {"mixer", ">blocks", ">T", ">batch", ">ms/step", ">over, %", ">mixer, ms", ">moved, MB",
         ">plan, MB"},
        {}};
    for (std::size_t m = 0; m < shapes.front().rows.size(); ++m)
        for (const ShapeBench& s : shapes) {
            const MixerBench& r = s.rows[m];
            t.rows.push_back(
                {r.mixer.label, fmt::format("{}", s.shape.layers),
                 fmt::format("{}", s.shape.context), fmt::format("{}", s.shape.batch),
                 milliseconds(r.step.median), overhead(r.overhead), milliseconds(mixer_seconds(r)),
                 r.moved_bytes > 0 ? megabytes(r.moved_bytes) : "-", megabytes(r.planned_bytes)});
        }
    return t;
}

TextTable op_table(const BenchReport& report) {
    std::string heading = "each op alone; memory bandwidth";
    for (const Bandwidth& b : report.bandwidths)
        heading += fmt::format(" {}: {:.0f} GB/s", human_bytes(b.bytes), 1e-9 * b.rate);
    TextTable t{heading,
                {"op", "shape", "precision", ">us", ">GFLOP/s", ">GB/s", ">floor, us", "bound by",
                 ">times floor"},
                {}};
    const auto rate = [](double amount, double seconds) {
        return amount > 0 ? fmt::format("{:.0f}", 1e-9 * amount / seconds) : "-";
    };
    for (const MicroBench& m : report.ops)
        t.rows.push_back({m.op, m.shape, m.precision, fmt::format("{:.4g}", 1e6 * m.seconds),
                          rate(m.flops, m.seconds), rate(m.bytes, m.seconds),
                          m.floor > 0 ? fmt::format("{:.4g}", 1e6 * m.floor) : "-", m.bound,
                          m.floor > 0 ? fmt::format("{:.2f}", m.seconds / m.floor) : "-"});
    return t;
}

TextTable generation(const DecodeBench& g) {
    TextTable t{fmt::format("generating, {}: {} blocks, width {}, T {}, batch {}, fp32; {} rounds "
                            "of {} tokens",
                            g.shape.name, g.shape.layers, g.shape.width, g.shape.context,
                            g.shape.batch, g.rounds, g.steps),
                {"mixer", ">ms/token", ">over, %", ">prefill, tokens/s"},
                {}};
    for (const DecodeMixerBench& r : g.rows)
        t.rows.push_back({r.mixer.label, milliseconds(r.token.median), overhead(r.overhead),
                          thousands(std::llround(r.prefill_tokens_per_s))});
    return t;
}

// One table a shape and precision, which follow each other in the list.
void add_growth(std::vector<TextTable>& out, const std::vector<ShapeBench>& shapes,
                const std::string& what) {
    std::vector<ShapeBench> group;
    for (const ShapeBench& s : shapes) {
        if (!group.empty() &&
            (group.front().precision != s.precision || group.front().shape.name != s.shape.name)) {
            out.push_back(growth(group, what));
            group.clear();
        }
        group.push_back(s);
    }
    if (!group.empty()) out.push_back(growth(group, what));
}

}  // namespace

std::vector<TextTable> bench_tables(const BenchReport& report) {
    std::vector<TextTable> out;
    for (const ShapeBench& s : report.compare) {
        out.push_back(comparison(s));
        if (s.device == Device::cpu) out.push_back(split(s));
    }
    add_growth(out, report.depth, "depth");
    add_growth(out, report.context, "context (tokens a step kept equal)");
    for (const DecodeBench& g : report.generate) out.push_back(generation(g));
    if (!report.ops.empty()) out.push_back(op_table(report));
    for (const PassBenches& p : report.passes) out.push_back(pass_table(p));
    return out;
}

std::string bench_legend(const BenchReport& report) {
    const bool only_passes = report.compare.empty() && !report.passes.empty();
    return std::string(only_passes ? "" : kBenchLegend) +
           (report.passes.empty() ? "" : kPassLegend);
}

nlohmann::ordered_json bench_machine(const std::vector<std::string>& command_line, int threads) {
    nlohmann::ordered_json m = provenance(command_line);
    m["machine"].erase("host");
    m["machine"]["threads"] = threads;
    return m;
}

std::string bench_machine_line(const BenchReport& report) {
    const auto& m = report.machine;
    const auto text = [](const nlohmann::ordered_json& j) { return j.get<std::string>(); };
    const std::string gpu =
        m["machine"].contains("gpu") ? "GPU " + text(m["machine"]["gpu"]) + "; " : "";
    return fmt::format(
        "{}{} ({}), {} of {} threads, {}, {}, commit {}{}", gpu, text(m["machine"]["cpu"]),
        fmt::join(m["machine"]["isa"].get<std::vector<std::string>>(), " "),
        m["machine"]["threads"].get<int>(), m["machine"]["logical_cpus"].get<int>(),
        text(m["build"]["gemm"]), text(m["build"]["compiler"]), text(m["git"]["commit"]),
        m["git"]["dirty"].get<bool>() ? " with local changes" : "");
}

std::string bench_markdown(const BenchReport& report) {
    std::string out = fmt::format("# plumb bench\n\n{}\n\n", bench_machine_line(report));
    for (const TextTable& t : bench_tables(report)) {
        out += "## " + t.heading + "\n\n|";
        std::string rule = "|";
        for (const std::string& title : t.titles) {
            const bool right = title.starts_with('>');
            out += " " + title.substr(right ? 1 : 0) + " |";
            rule += right ? "---:|" : "---|";
        }
        out += "\n" + rule + "\n";
        for (const auto& row : t.rows) out += fmt::format("| {} |\n", fmt::join(row, " | "));
        out += "\n";
    }
    return out + bench_legend(report);
}

}  // namespace plumb
