#include "cli/inspect_command.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/temp_folder.h"

#include <sstream>

using namespace plumb;

namespace {

const std::string kLines =
    R"({"step":0,"depth":0,"site":"embed","kind":"embed","out_rms":9})"
    "\n"
    R"({"step":100,"depth":2,"site":"output","kind":"output","read_rms":4,"dread_rms":0.5})"
    "\n"
    R"({"step":100,"depth":0,"site":"embed","kind":"embed","out_rms":1,"dout_rms":8,)"
    R"("pgrad_q":[1,2,3,4,5,6]})"
    "\n"
    R"({"step":100,"depth":1,"site":"layer.0.attn","kind":"attn","read_rms":1,"out_rms":0.5,)"
    R"("contribution":0.5,"cosine":1,"dout_rms":2,"pgrad_rms":0.001})"
    "\n";

struct Run {
    TempFolder folder;
    explicit Run(const std::string& lines = kLines) { write_file(folder / "depth.jsonl", lines); }
    DepthProbe probe(Index step = -1) const { return read_depth_probe(folder.path(), step); }
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
}

}  // namespace

TEST_CASE("the last probe is read in order of depth, or the one asked for") {
    const Run run;
    const DepthProbe probe = run.probe();
    CHECK(probe.step == 100);
    REQUIRE(probe.depths.size() == 3);
    CHECK(probe.depths[0]["site"] == "embed");
    CHECK(probe.depths[2]["site"] == "output");
    CHECK(run.probe(0).depths.size() == 1);
    CHECK_THROWS_WITH(run.probe(7), contains_text("no step 7; it has 0, 100"));
}

TEST_CASE("missing, empty and foreign files are refused") {
    TempFolder folder;
    CHECK_THROWS_WITH(read_depth_probe(folder.path(), -1), contains_text("record.probe_every"));
    CHECK_THROWS_WITH(Run("").probe(), contains_text("is empty"));
    CHECK_THROWS_AS(Run("{\"a\":1}\n").probe(), IoError);
    CHECK_THROWS_AS(Run("{\"step\":1,\"depth\":\"x\"}\n").probe(), IoError);
}

TEST_CASE("the table holds the numbers, leaves out what does not exist, and has bars") {
    Terminal terminal;
    terminal.width = 100;
    const auto lines = lines_of(inspect_text(Run().probe(), terminal));
    REQUIRE(lines.size() > 6);
    CHECK(lines[2].starts_with("depth  site          read_rms"));
    // The embedding reads nothing; the attention reads a quarter of the largest.
    CHECK(lines[3].starts_with("    0  embed "));
    CHECK(lines[3].find("    1  ##") != std::string::npos);
    CHECK(lines[4].starts_with("    1  layer.0.attn         1  "));
    CHECK(lines[5].starts_with("    2  output               4  ##########"));
    const std::string text = inspect_text(Run().probe(), terminal);
    CHECK(text.find("read_rms_last_over_first: 4\n") != std::string::npos);
    CHECK(text.find("dout_rms_last_over_first: 0.25\n") != std::string::npos);
    CHECK(text.find("smallest_contribution: 0.5\n") != std::string::npos);
    CHECK(text.ends_with("step: 100\ndepths: 3\n"));
}

TEST_CASE("tables fit the terminal and together show every measure") {
    for (const int width : {60, 80, 100, 132, 200, 400}) {
        Terminal terminal;
        terminal.width = width;
        const std::string text = inspect_text(Run().probe(), terminal);
        std::size_t n_tables = 0;
        for (const std::string& line : lines_of(text)) {
            CHECK(display_width(line) <= width);
            n_tables += line.starts_with("depth  site");
        }
        CHECK(n_tables == (width == 400   ? 1
                           : width == 200 ? 2
                           : width == 132 ? 2
                           : width == 60  ? 8
                           : width == 80  ? 4
                                          : 3));
        for (const char* key : {"read_rms", "contribution", "pgrad_rms", "cosine", "dread_rms"})
            CHECK(text.find(std::string("  ") + key + ": ") != std::string::npos);
    }
}

TEST_CASE("JSON and CSV hold the probe") {
    const DepthProbe probe = Run().probe();
    const auto json = nlohmann::json::parse(inspect_json(probe));
    CHECK(json["step"] == 100);
    CHECK(json["depths"][1]["pgrad_rms"] == 0.001);
    const auto lines = lines_of(inspect_csv(probe));
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] ==
          "step,depth,site,kind,read_rms,out_rms,contribution,dout_rms,pgrad_rms,cosine,stream_rms,"
          "dread_rms,pgrad_p5,pgrad_p25,pgrad_p50,pgrad_p75,pgrad_p95,pgrad_max");
    CHECK(lines[1] == "100,0,embed,embed,,1,,8,,,,,1,2,3,4,5,6");
    CHECK(lines[2] == "100,1,layer.0.attn,attn,1,0.5,0.5,2,0.001,1,,,,,,,,");
}
