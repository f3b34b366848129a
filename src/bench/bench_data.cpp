// A BenchReport as JSON and CSV.
#include "bench/bench_report.h"
#include "bench/pass_report.h"

namespace plumb {
namespace {

using nlohmann::ordered_json;

ordered_json to_json(const Spread& s) {
    return {{"median", s.median}, {"q1", s.low}, {"q3", s.high}};
}

ordered_json to_json(const MixerBench& r) {
    ordered_json j{{"label", r.mixer.label}, {"mixer", r.mixer.name}};
    j["settings"] = r.mixer.settings;
    j["step_s"] = to_json(r.step);
    j["overhead"] = to_json(r.overhead);
    j["ratios"] = r.ratios;
    j["tokens_per_s"] = r.tokens_per_s;
    j["gemm_flops_per_s"] = r.gemm_rate;
    j["gemm_share"] = r.gemm_share;
    ordered_json parts;
    for (std::size_t p = 0; p < kParts; ++p)
        parts[part_name(static_cast<Part>(p))] = r.parts.seconds[p];
    parts["rest"] = r.parts.rest();
    j["parts_s"] = parts;
    j["profiled_step_s"] = r.parts.total;
    j["planned_bytes"] = r.planned_bytes;
    j["peak_bytes"] = r.peak_bytes > 0 ? ordered_json(r.peak_bytes) : ordered_json();
    j["params"] = r.params;
    j["mixer_params"] = r.mixer_params;
    const bool counted = r.moved_bytes > 0;
    j["moved_bytes"] = counted ? ordered_json(r.moved_bytes) : ordered_json();
    j["moved_forward_d"] = counted ? ordered_json(r.moved_forward) : ordered_json();
    j["moved_step_d"] = counted ? ordered_json(r.moved_step) : ordered_json();
    j["paper_forward_d"] = r.paper_forward ? ordered_json(*r.paper_forward) : ordered_json();
    return j;
}

ordered_json to_json(const GemmTime& g) {
    return {{"name", g.name},   {"tokens", g.tokens},     {"out", g.out}, {"in", g.in},
            {"count", g.count}, {"forward_s", g.forward}, {"dx_s", g.dx}, {"dw_s", g.dw}};
}

ordered_json to_json(const BenchShape& s) {
    return {{"name", s.name},       {"layers", s.layers}, {"width", s.width}, {"heads", s.heads},
            {"context", s.context}, {"batch", s.batch},   {"vocab", s.vocab}};
}

ordered_json to_json(const ShapeBench& s) {
    ordered_json j;
    j["shape"] = to_json(s.shape);
    j["precision"] = s.precision;
    j["tokens_per_step"] = s.tokens;
    j["flops_per_token"] = s.flops_per_token;
    j["rounds"] = s.rounds;
    j["steps"] = s.steps;
    j["gemm_flops_per_s"] = gemm_rate(s.gemm);
    for (const GemmTime& g : s.gemm) j["gemm"].push_back(to_json(g));
    for (const MixerBench& r : s.rows) j["mixers"].push_back(to_json(r));
    return j;
}

ordered_json to_json(const MicroBench& m) {
    const auto known = [](double x) { return x > 0 ? ordered_json(x) : ordered_json(); };
    return {{"op", m.op},
            {"shape", m.shape},
            {"precision", m.precision},
            {"seconds", m.seconds},
            {"flops", known(m.flops)},
            {"bytes", known(m.bytes)},
            {"floor_s", known(m.floor)},
            {"bound", m.bound},
            {"times_floor", m.floor > 0 ? ordered_json(m.seconds / m.floor) : ordered_json()}};
}

ordered_json to_json(const DecodeBench& g) {
    ordered_json j;
    j["shape"] = to_json(g.shape);
    j["precision"] = "fp32";
    j["rounds"] = g.rounds;
    j["steps"] = g.steps;
    for (const DecodeMixerBench& r : g.rows)
        j["mixers"].push_back({{"label", r.mixer.label},
                               {"mixer", r.mixer.name},
                               {"settings", r.mixer.settings},
                               {"token_s", to_json(r.token)},
                               {"overhead", to_json(r.overhead)},
                               {"prefill_tokens_per_s", r.prefill_tokens_per_s}});
    return j;
}

std::string optional_cell(double x) { return x > 0 ? fmt::format("{:.6g}", x) : ""; }

std::string csv_line(const std::string& kind, const ShapeBench& s, const MixerBench& r) {
    std::string out = fmt::format(
        "{},{},{},{},{},{},{},{},\"{}\",{:.6g},{:.6g},{:.6g},{:.4f},{:.4f},{:.4f},{:.1f},{:.1f},"
        "{:.4f}",
        kind, s.shape.name, s.shape.layers, s.shape.width, s.shape.heads, s.shape.context,
        s.shape.batch, s.precision, r.mixer.label, 1e3 * r.step.median, 1e3 * r.step.low,
        1e3 * r.step.high, 100 * r.overhead.median, 100 * r.overhead.low, 100 * r.overhead.high,
        r.tokens_per_s, 1e-9 * r.gemm_rate, 100 * r.gemm_share);
    for (const double x : r.parts.seconds) out += fmt::format(",{:.6g}", 1e3 * x);
    out += fmt::format(",{:.6g},{:.6g},{:.0f},{},{},{}", 1e3 * r.parts.rest(), 1e3 * r.parts.total,
                       r.planned_bytes, r.peak_bytes > 0 ? fmt::format("{:.0f}", r.peak_bytes) : "",
                       r.params, r.mixer_params);
    return out + fmt::format(",{},{},{},{},{},{}\n", optional_cell(r.moved_bytes),
                             optional_cell(r.moved_forward), optional_cell(r.moved_step),
                             optional_cell(r.paper_forward.value_or(0)), s.rounds, s.steps);
}

}  // namespace

nlohmann::ordered_json bench_json(const BenchReport& report) {
    ordered_json j = report.machine;
    const auto list = [](const auto& items) {
        ordered_json out = ordered_json::array();
        for (const auto& item : items) out.push_back(to_json(item));
        return out;
    };
    j["compare"] = list(report.compare);
    j["depth"] = list(report.depth);
    j["context"] = list(report.context);
    j["bandwidth"] = ordered_json::array();
    for (const Bandwidth& b : report.bandwidths)
        j["bandwidth"].push_back({{"bytes", b.bytes}, {"bytes_per_s", b.rate}});
    j["ops"] = list(report.ops);
    j["generate"] = list(report.generate);
    for (const PassBenches& p : report.passes) j["passes"].push_back(pass_json(p));
    return j;
}

std::string bench_csv(const BenchReport& report) {
    std::string out =
        "kind,shape,layers,width,heads,context,batch,precision,mixer,step_ms,step_ms_q1,"
        "step_ms_q3,overhead_percent,overhead_q1,overhead_q3,tokens_per_s,gemm_gflops,"
        "gemm_share_percent";
    for (std::size_t p = 0; p < kParts; ++p)
        out += fmt::format(",{}_ms", part_name(static_cast<Part>(p)));
    out +=
        ",rest_ms,profiled_step_ms,planned_bytes,peak_bytes,params,mixer_params,moved_bytes,"
        "moved_forward_d,moved_step_d,paper_forward_d,rounds,steps\n";
    const auto add = [&](const char* kind, const std::vector<ShapeBench>& shapes) {
        for (const ShapeBench& s : shapes)
            for (const MixerBench& r : s.rows) out += csv_line(kind, s, r);
    };
    add("compare", report.compare);
    add("depth", report.depth);
    add("context", report.context);
    return out;
}

std::string ops_csv(const BenchReport& report) {
    std::string out = "op,shape,precision,us,flops,bytes,floor_us,bound,times_floor\n";
    for (const MicroBench& m : report.ops)
        out += fmt::format("\"{}\",{},{},{:.6g},{},{},{},{},{}\n", m.op, m.shape, m.precision,
                           1e6 * m.seconds, optional_cell(m.flops), optional_cell(m.bytes),
                           optional_cell(1e6 * m.floor), m.bound,
                           optional_cell(m.floor > 0 ? m.seconds / m.floor : 0));
    return out;
}

std::string generate_csv(const BenchReport& report) {
    std::string out =
        "shape,layers,width,heads,context,batch,mixer,token_ms,token_ms_q1,token_ms_q3,"
        "overhead_percent,overhead_q1,overhead_q3,prefill_tokens_per_s,rounds,steps\n";
    for (const DecodeBench& g : report.generate)
        for (const DecodeMixerBench& r : g.rows)
            out += fmt::format(
                "{},{},{},{},{},{},\"{}\",{:.6g},{:.6g},{:.6g},{:.4f},{:.4f},{:.4f},{:.1f},{},{}\n",
                g.shape.name, g.shape.layers, g.shape.width, g.shape.heads, g.shape.context,
                g.shape.batch, r.mixer.label, 1e3 * r.token.median, 1e3 * r.token.low,
                1e3 * r.token.high, 100 * r.overhead.median, 100 * r.overhead.low,
                100 * r.overhead.high, r.prefill_tokens_per_s, g.rounds, g.steps);
    return out;
}

}  // namespace plumb
