#include "cli/inspect_command.h"

#include "catch.h"
#include "core/check.h"
#include "core/files.h"
#include "support/run_program.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <cmath>
#include <sstream>

using namespace plumb;
using test::lines_of;

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

struct ProbedRun {
    TempFolder folder;
    explicit ProbedRun(const std::string& lines = kLines, const std::string& status = "done\n") {
        write_file(folder / "config.toml", "");
        write_file(folder / "depth.jsonl", lines);
        write_file(folder / "STATUS", status);
    }
    InspectedRun read(Index step = -1, const std::string& name = "runs/a") const {
        InspectedRun run = read_inspected_run(folder.path(), step);
        run.name = name;
        return run;
    }
    StoredProbe probe(Index step = -1) const { return read_stored_probe(folder.path(), step); }
};

Terminal wide(int width) {
    Terminal terminal;
    terminal.width = width;
    return terminal;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the last whole probe is read in order of depth, or the one asked for") {
    const ProbedRun run;
    const StoredProbe probe = run.probe();
    CHECK(probe.step == 100);
    REQUIRE(probe.depths.size() == 3);
    CHECK(probe.text(0, "site") == "embed");
    CHECK(probe.text(2, "site") == "output");
    CHECK(std::isnan(probe.number(0, "read_rms")));
    CHECK(probe.numbers("dout_rms")[1] == 2);
    CHECK(run.probe(0).depths.size() == 1);
    CHECK_THROWS_WITH(run.probe(7), contains_text("no step 7; it has 0, 100"));
    // A kill amid the next probe, and a line that a resume wrote again.
    const std::string more =
        kLines + "{\"step\":200,\"depth\":0}\n{\"step\":100,\"depth\":1,\"dout_rms\":7}\n";
    CHECK(ProbedRun(more).probe().step == 100);
    CHECK(ProbedRun(more).probe().numbers("dout_rms")[1] == 7);
}

TEST_CASE("missing, empty and damaged files are refused by name") {
    TempFolder folder;
    CHECK_THROWS_WITH(read_stored_probe(folder.path(), -1), contains_text("record.probe_every"));
    CHECK_THROWS_WITH(ProbedRun("").probe(), contains_text("is empty"));
    for (const char* line :
         {R"({"a":1})", R"({"step":1,"depth":"x"})", R"({"step":-1,"depth":0})",
          R"({"step":1.5,"depth":0})", R"({"step":1e300,"depth":0})",
          R"({"step":1,"depth":0,"site":[]})", R"({"step":1,"depth":0,"kind":3})",
          R"({"step":1,"depth":0,"read_rms":"big"})", R"({"step":1,"depth":0,"pgrad_q":5})",
          R"({"step":1,"depth":0,"pgrad_q":[1,2]})", R"({"step":1,"depth":0,"pgrad_q":null})",
          R"({"step":1,"depth":0,"pgrad_q":[1,2,3,4,5,"6"]})",
          R"({"step":1,"depth":0,"pgrad_hist":{"a":1}})", "[1,2]", "7"}) {
        INFO(line);
        CHECK_THROWS_AS(ProbedRun(kLines + line + "\n").read(), IoError);
        CHECK_THROWS_WITH(ProbedRun(kLines + line + "\n").read(), contains_text("depth.jsonl:5: "));
    }
    // A file cannot act on the terminal.
    const ProbedRun odd("{\"step\":1,\"depth\":0,\"site\":\"\\u001b[2Jx\",\"out_rms\":1}\n");
    for (const std::string& text : {inspect_text({odd.read()}, {}, wide(80)),
                                    inspect_json({odd.read()}), inspect_csv({odd.read()})})
        CHECK(text.find('\x1b') == std::string::npos);
    // What was not finite is null.
    CHECK(std::isnan(
        ProbedRun("{\"step\":1,\"depth\":0,\"out_rms\":null}\n").probe().number(0, "out_rms")));
}

TEST_CASE("the table holds the numbers, leaves out what does not exist, and has bars") {
    const std::string text = inspect_text({ProbedRun().read()}, {}, wide(100));
    CHECK(has(text, "runs/a: step 100\n"));
    CHECK_FALSE(has(text, "not finished"));
    const auto lines = lines_of(text.substr(text.find("This mixer only")));
    REQUIRE(lines.size() > 6);
    CHECK(lines[2].starts_with("depth  site          "));
    CHECK(has(lines[2], "read_rms"));
    // The embedding reads nothing; the attention reads a quarter of the largest.
    CHECK(lines[3].starts_with("    0  embed"));
    CHECK(has(lines[4], " 1  #### "));
    CHECK(has(lines[5], " 4  ################"));
    CHECK(text.find("dout_rms") < text.find("This mixer only"));
    CHECK(text.find("This mixer only") < text.find("contribution"));
    CHECK(has(text, "read_growth: 4\n"));
    CHECK(has(text, "dout_log_slope: -\n"));  // of one sublayer
}

TEST_CASE("a negative number has another bar than a positive one of its size") {
    const ProbedRun run(
        "{\"step\":1,\"depth\":1,\"site\":\"layer.0.attn\",\"ablation\":0.5}\n"
        "{\"step\":1,\"depth\":2,\"site\":\"layer.0.mlp\",\"ablation\":-0.25}\n");
    Terminal unicode = wide(80);
    unicode.unicode = true;
    for (const auto& [terminal, full, pale] :
         {std::tuple{wide(80), "0.5  ################\n", "-0.25  --------\n"},
          {unicode, "0.5  ████████████████\n", "-0.25  ░░░░░░░░\n"}}) {
        const std::string text = inspect_text({run.read()}, {{"ablation"}, false}, terminal);
        INFO(text);
        CHECK((has(text, full) && has(text, pale)));
        CHECK(has(text, terminal.unicode ? "; ░░ is negative" : "; -- is negative"));
    }
}

TEST_CASE("tables fit the terminal and together show every measure") {
    for (const int width : {60, 80, 100, 132, 200, 400})
        for (const std::size_t n_runs : {1u, 5u}) {
            std::vector<InspectedRun> runs;
            for (std::size_t r = 0; r < n_runs; ++r)
                runs.push_back(ProbedRun().read(-1, fmt::format("runs/run-{}", r)));
            const std::string text = inspect_text(runs, {{}, true}, wide(width));
            for (const std::string& line : lines_of(text)) {
                INFO(line);
                CHECK((display_width(line) <= width || has(line, ": ")));
            }
            for (const Measure* m : measures_of(MeasurePlace::depth))
                if (m->field) CHECK(has(text, "  " + m->key + ": " + m->name));
        }
}

TEST_CASE("runs stand side by side, unfinished ones named, without what cannot be compared") {
    const InspectedRun a = ProbedRun().read(),
                       b = ProbedRun(kLines, "running\n").read(0, "elsewhere/b/");
    const std::string text = inspect_text({a, b}, {}, wide(80));
    CHECK(has(text,
              "elsewhere/b/: step 0; not finished: interrupted, before its first step; go on "
              "with: plumb train --out elsewhere/b/ --resume auto\n"));
    CHECK(has(text, "depth  site          "));
    CHECK(has(text, "\nout_rms\n"));
    CHECK(has(text, "dout_cv: - -\n"));
    for (const char* marked : {"read_rms", "contribution", "read_growth"})
        CHECK_FALSE(has(text, marked));
    // Largest of both runs: 9.
    const auto lines = lines_of(inspect_text({a, b}, {{"out_rms"}, false}, wide(80)));
    const auto embed = std::find_if(lines.begin(), lines.end(),
                                    [](const std::string& l) { return has(l, "embed"); });
    REQUIRE(embed != lines.end());
    CHECK(has(*embed, " 1  ##  "));
    CHECK(embed->ends_with(" 9  ################"));
    const std::string asked = inspect_text({a, b}, {{"read_rms"}, false}, wide(80));
    CHECK(has(asked, "read_rms (this mixer only: do not compare)\n"));
    CHECK_THROWS_WITH(inspect_text({a}, {{"reed_rms"}, false}, wide(80)),
                      contains_text("--measure reed_rms: there are write_share, "));
}

TEST_CASE("JSON and CSV hold the probes") {
    const InspectedRun run = ProbedRun().read();
    const auto json = nlohmann::json::parse(inspect_json({run}));
    CHECK(json["step"] == 100);
    CHECK(json["status"] == "done");
    CHECK(json["depths"][1]["pgrad_rms"] == 0.001);
    CHECK(json["summary"]["read_growth"] == 4);
    CHECK(json["summary"]["dout_cv"].is_null());
    const auto two = nlohmann::json::parse(inspect_json({run, run}));
    CHECK(two["runs"][1] == json);
    InspectedRun odd = ProbedRun(kLines, "tired\n").read(-1, "runs/a,\"b\"");
    CHECK(odd.condition.status == "unknown");
    const auto lines = lines_of(inspect_csv({run, odd}));
    REQUIRE(lines.size() == 7);
    CHECK(lines[0].starts_with("run,step,depth,site,kind,write_share,"));
    CHECK(has(lines[0], ",pgrad_p5,pgrad_p25,pgrad_p50,pgrad_p75,pgrad_p95,pgrad_max,"));
    CHECK_FALSE(has(lines[0], "pgrad_hist"));
    const auto cells = [](const std::string& line) {
        return std::count(line.begin(), line.end(), ',');
    };
    for (std::size_t i = 1; i < 4; ++i) CHECK(cells(lines[i]) == cells(lines[0]));
    CHECK(lines[1].starts_with("runs/a,100,0,embed,embed,"));
    CHECK(has(lines[1], ",1,2,3,4,5,6,"));
    CHECK(lines[4].starts_with("\"runs/a,\"\"b\"\"\",100,0,embed,"));
}
