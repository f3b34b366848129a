#include "bench/pass_report.h"

#include "core/text.h"

#include <cmath>

namespace plumb {
namespace {

constexpr const char* kDirections[] = {"forward", "backward"};

const char* memory_of(const PassBench& row) { return row.fused ? "fused" : "plain"; }

// Rows of C activations per token and sublayer.
double rows_of(const PassBenches& passes, double bytes) {
    return bytes / passes.row_bytes / static_cast<double>(passes.sublayers);
}

double floor_of(const PassBench& row, int direction) {
    return direction == 0 ? row.floor->forward : row.floor->backward;
}

nlohmann::ordered_json number(double x) {
    return std::isnan(x) ? nlohmann::ordered_json() : nlohmann::ordered_json(x);
}

}  // namespace

TextTable pass_table(const PassBenches& s) {
    TextTable t{
        fmt::format("passes on the GPU, {}: {} blocks, width {}, {} tokens, {}", s.shape.name,
                    s.shape.layers, s.shape.width, thousands(s.tokens), s.precision),
        {"mixer", "memory"},
        {}};
    const bool timed = !std::isnan(s.rows.front().seconds(0));
    for (const char* direction : kDirections) {
        t.titles.push_back(fmt::format(">{}", direction));
        t.titles.emplace_back(">floor");
        if (timed) t.titles.insert(t.titles.end(), {">us", ">GB/s"});
    }
    for (const PassBench& r : s.rows) {
        std::vector<std::string> row{r.mixer.label, memory_of(r)};
        for (const int d : {0, 1}) {
            row.push_back(fmt::format("{:.2f}", rows_of(s, r.bytes(d))));
            row.push_back(r.floor ? fmt::format("{:.2f}", floor_of(r, d)) : "-");
            if (!timed) continue;
            const double seconds = r.seconds(d), bytes = r.bytes(d) * static_cast<double>(s.tokens);
            row.push_back(fmt::format("{:.1f}", 1e6 * seconds / static_cast<double>(s.sublayers)));
            row.push_back(fmt::format("{:.0f}", 1e-9 * bytes / seconds));
        }
        t.rows.push_back(row);
    }
    return t;
}

nlohmann::ordered_json pass_json(const PassBenches& s) {
    nlohmann::ordered_json j{{"shape", s.shape.name},   {"layers", s.shape.layers},
                             {"width", s.shape.width},  {"precision", s.precision},
                             {"tokens", s.tokens},      {"sublayers", s.sublayers},
                             {"row_bytes", s.row_bytes}};
    j["model"] = {{"weights", s.model.weights},
                  {"attention_flops", s.model.attention_flops},
                  {"attention_numbers", s.model.attention_numbers},
                  {"activation_numbers", s.model.activation_numbers}};
    for (const PassBench& r : s.rows) {
        nlohmann::ordered_json row{{"label", r.mixer.label},
                                   {"mixer", r.mixer.name},
                                   {"settings", r.mixer.settings},
                                   {"memory", memory_of(r)}};
        for (const int d : {0, 1}) {
            nlohmann::ordered_json& of = row[kDirections[d]];
            of["rows"] = rows_of(s, r.bytes(d));
            of["floor_rows"] =
                r.floor ? nlohmann::ordered_json(floor_of(r, d)) : nlohmann::ordered_json();
            of["seconds"] = number(r.seconds(d));
            for (const auto& site : r.sites) {
                const SitePass& pass = site[static_cast<std::size_t>(d)];
                of["sites"].push_back(
                    {{"bytes_per_token", pass.bytes}, {"seconds", number(pass.seconds)}});
            }
        }
        j["mixers"].push_back(row);
    }
    return j;
}

std::string passes_csv(const std::vector<PassBenches>& all) {
    std::string out =
        "shape,layers,width,tokens,precision,mixer,memory,site,direction,bytes_per_token,us\n";
    for (const PassBenches& s : all)
        for (const PassBench& r : s.rows)
            for (std::size_t l = 0; l < r.sites.size(); ++l)
                for (const std::size_t d : {0, 1}) {
                    const SitePass& pass = r.sites[l][d];
                    out += fmt::format(
                        "{},{},{},{},{},\"{}\",{},{},{},{:.0f},{}\n", s.shape.name, s.shape.layers,
                        s.shape.width, s.tokens, s.precision, r.mixer.label, memory_of(r), l + 1,
                        kDirections[d], pass.bytes,
                        std::isnan(pass.seconds) ? "" : fmt::format("{:.4g}", 1e6 * pass.seconds));
                }
    return out;
}

}  // namespace plumb
