// plumb sweep: what is typed, planned, printed and handed to other engines.
#include "catch.h"
#include "support/check_message.h"
#include "support/run_files.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

struct Sweep {
    TempFolder temp;
    std::string file = (temp / "q.toml").string(), out = (temp / "out").string();

    Sweep() {
        spill(temp / "base.toml",
              "[model]\nlayers = 1\nwidth = 16\nheads = 2\ncontext = 64\n[train]\nsteps = 12\n"
              "batch = 2\nwarmup = 2\neval_sequences = 2\n[data]\ntask = \"copy\"\n"
              "[record]\ntensorboard = false\nprobe_every = 0\n");
        spill(file,
              "# Is it so?\n[sweep]\nbase = \"base.toml\"\nseeds = \"1..3\"\n[[variant]]\n"
              "name = \"standard\"\n[[variant]]\nname = \"full\"\nmixer.name = \"attnres\"\n");
    }
    Outcome sweep(std::vector<std::string> words) const {
        words.insert(words.begin(), "sweep");
        words.insert(words.end(), {"--out", out});
        return run_plumb(words);
    }
    std::string base() const { return (temp / "base.toml").string(); }
};

}  // namespace

TEST_CASE("sweep plan says what the runs cost and what their seeds can find", "[cli][sweep]") {
    const Sweep s;
    const Outcome plan = s.sweep({"plan", s.file});
    CHECK(plan.code == 0);
    for (const char* text :
         {"Is it so?", "standard", "full", "matched tokens exactly",
          "3 seeds, 1 comparison in a table", "6 runs (0 ended)", "plumb sweep run"})
        CHECK_THAT(plan.out, contains_text(text));
    CHECK_FALSE(fs::exists(s.out));  // a plan writes nothing
    const Outcome json = s.sweep({"plan", s.file, "--json"});
    const auto parsed = nlohmann::json::parse(json.out);
    CHECK(parsed.at("runs").size() == 6);
    CHECK(parsed.at("sweep").at("hypothesis") == "Is it so?");
    CHECK(s.sweep({"plan", s.file, "--jsonl"}).out.find("\"index\":null") != std::string::npos);
}

TEST_CASE("every sweep in experiments/ has a plan, at both scales", "[cli][sweep]") {
    const TempFolder temp;
    long sweeps = 0;
    for (const auto& entry : fs::directory_iterator("experiments")) {
        if (slurp(entry.path()).find("[sweep]") == std::string::npos) continue;
        ++sweeps;
        for (const char* scale : {"cpu", "gpu"}) {
            // Without the corpus: the same shapes on a built-in task.
            const Outcome plan =
                run_plumb({"sweep", "plan", entry.path(), "--scale", scale, "--set",
                           "data.path=", "--set", "data.task=markov", "--out", temp / "out"});
            INFO(entry.path() << " " << scale << "\n" << plan.out);
            CHECK(plan.code == 0);
            for (const char* text : {"ypothes", "FLOPs/tok", "core hours"})
                CHECK_THAT(plan.out, contains_text(text));
        }
    }
    CHECK(sweeps >= 9);
}

TEST_CASE("a sweep of typed settings is written as the file it stands for", "[cli][sweep]") {
    const Sweep s;
    const std::vector<std::string> typed{"-c",
                                         s.base(),
                                         "mixer=standard,attnres_block",
                                         "mixer.block_size=1,2",
                                         "train.lr=2e-3",
                                         "train.seed=1..2",
                                         "--baseline",
                                         "mixer=standard",
                                         "--hypothesis",
                                         "Small blocks win"};
    auto words = typed;
    words.insert(words.begin(), "plan");
    const Outcome plan = s.sweep(words);
    INFO(plan.out);
    CHECK(plan.code == 0);
    CHECK_THAT(plan.out, contains_text("6 runs"));
    const std::string text = slurp(fs::path(s.out) / "sweep.toml");
    for (const char* line : {"# Small blocks win", "seeds = \"1..2\"", "baseline = \"standard\"",
                             "mixer.name = \"attnres_block\"", "mixer.block_size = [1, 2]"})
        CHECK_THAT(text, contains_text(line));
    CHECK_THAT(slurp(fs::path(s.out) / "base.toml"), contains_text("lr = 0.002"));
    CHECK(run_plumb({"sweep", "plan", s.out}).code == 0);  // the folder stands for itself
    CHECK(s.sweep(words).code == 0);                       // and may be typed again

    spill(fs::path(s.out) / "sweep.toml", "# mine\n[sweep]\n");
    const Outcome refused = s.sweep(words);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.out, contains_text("somebody wrote"));
}

TEST_CASE("status says that its file has changed", "[cli][sweep]") {
    const Sweep s;
    CHECK(s.sweep({"commands", s.file}).code == 0);
    CHECK(s.sweep({"status", s.file}).out.find("has changed") == std::string::npos);
    spill(s.file, slurp(s.file) + "[grid]\ntrain.lr = [1e-3, 2e-3]\n");
    CHECK_THAT(s.sweep({"status", s.file}).out, contains_text("has changed since"));
}

TEST_CASE("plumb help sweep-file describes every table", "[cli][sweep]") {
    const Outcome page = run_plumb({"help", "sweep-file"});
    CHECK(page.code == 0);
    for (const char* text : {"[sweep]", "[[variant]]", "[grid]", "[zip]", "[[when]]", "[[exclude]]",
                             "[tune]", "[cull]", "[scale.gpu]", "looks", "match_by", "lock"})
        CHECK_THAT(page.out, contains_text(text));
    // The page is TOML with remarks beside it: its words are those that a file may have.
    CHECK_THAT(run_plumb({"help"}).out, contains_text("sweep-file"));
}

TEST_CASE("what is typed wrongly for a sweep is told", "[cli][sweep]") {
    const Sweep s;
    const auto says = [&](const std::vector<std::string>& words, int code, const char* text) {
        const Outcome o = s.sweep(words);
        INFO(o.out);
        CHECK(o.code == code);
        CHECK_THAT(o.out, contains_text(text));
    };
    says({"plan", "mixer=standart"}, 2, "did you mean 'standard'?");
    says({"plan", "train.seed=x", "mixer=standard"}, 2, "are not a list such as 1..5");
    says({"plan", "train.stepps=3", "mixer=standard"}, 2, "did you mean 'train.steps'?");
    says({"plan", s.file, "--margin", "0.1"}, 2, "a sweep file says them itself");
    says({"plan", s.file, "--set", "lr"}, 2, "expected key=value");
    says({"plan", s.file, "--scale", "gpu"}, 2, "there is no [scale.gpu]");
    says({"plan", s.file + "x"}, 4, "No such file");
    says({"plan", s.file, "train.lr=1"}, 2, "--set KEY=VALUE");
    const Outcome no_out = run_plumb({"sweep", "plan", "mixer=standard"});
    CHECK(no_out.code == 2);
    CHECK_THAT(no_out.out, contains_text("--out DIR"));
}

TEST_CASE("commands are lines that run, and sbatch a script that bash accepts", "[cli][sweep]") {
    const Sweep s;
    const Outcome lines = s.sweep({"commands", s.file});
    CHECK(lines.code == 0);
    CHECK(std::count(lines.out.begin(), lines.out.end(), '\n') == 6);
    const std::string first = lines.out.substr(0, lines.out.find('\n'));
    CHECK(std::system((first + " > /dev/null 2>&1").c_str()) == 0);
    const Outcome left = s.sweep({"commands", s.file, "--todo"});
    CHECK(std::count(left.out.begin(), left.out.end(), '\n') == 5);
    CHECK(left.out.find(first) == std::string::npos);

    const Outcome script = s.sweep({"sbatch", s.file, "--chunk", "2", "--partition", "short"});
    CHECK(script.code == 0);
    for (const char* text : {"#SBATCH --array=0-2", "#SBATCH --partition=short",
                             "chunks=(1-2 3-4 5)", "scontrol requeue", "--signal=B:TERM@120"})
        CHECK_THAT(script.out, contains_text(text));
    spill(s.temp / "job.sh", script.out);
    CHECK(std::system(("bash -n " + (s.temp / "job.sh").string()).c_str()) == 0);
    CHECK(s.sweep({"sbatch", s.file, "--max-array", "2"}).code == 2);
}

TEST_CASE("sweep noise keeps the deviation over seeds, and plan finds it", "[cli][sweep]") {
    const Sweep s;
    const Outcome noise = s.sweep({"noise", s.file, "--seeds", "1..3", "-j", "2"});
    INFO(noise.out);
    CHECK(noise.code == 0);
    CHECK_THAT(noise.out, contains_text("over 3 seeds"));
    const auto kept = read_json(s.temp / "noise.json");
    REQUIRE(kept.size() == 1);
    double sum = 0, square = 0;
    for (const auto& entry : fs::directory_iterator(s.out + "-noise"))
        if (fs::exists(entry.path() / "summary.json")) {
            const double x = read_json(entry.path() / "summary.json").at("final_val_loss");
            sum += x;
            square += x * x;
        }
    CHECK(kept.begin()->at("sd").get<double>() ==
          Approx(std::sqrt((square - sum * sum / 3) / 2)).epsilon(1e-6));
    std::string plan = s.sweep({"plan", s.file}).out;  // wrapped anywhere
    std::erase_if(plan, [](char c) { return c == ' ' || c == '\n'; });
    CHECK_THAT(plan, contains_text("of3seedsin"));
}

TEST_CASE("sweep calibrate measures what match = time needs", "[cli][sweep]") {
    const Sweep s;
    spill(s.file, slurp(s.file).replace(slurp(s.file).find("seeds"), 0, "match = \"time\"\n"));
    CHECK(s.sweep({"plan", s.file}).code == 2);
    const Outcome measured = s.sweep({"calibrate", s.file, "--rounds", "3"});
    INFO(measured.out);
    CHECK(measured.code == 0);
    CHECK_THAT(measured.out, contains_text("full"));
    CHECK(s.sweep({"plan", s.file}).code == 0);
}

TEST_CASE("sweep merge reports runs with two results", "[cli][sweep]") {
    const Sweep s;
    const auto made = [&](const char* name, const char* loss) {
        const std::string folder = (s.temp / name).string();
        CHECK(run_plumb({"sweep", "commands", s.file, "--out", folder}).code == 0);
        for (const auto& line : lines_of(fs::path(folder) / "plan.jsonl")) {
            const fs::path run = fs::path(folder) / line.at("dir").get<std::string>();
            fs::create_directory(run);
            spill(run / "STATUS", "done\n");
            spill(run / "summary.json", fmt::format("{{\"final_val_loss\": {}}}", loss));
        }
        return folder;
    };
    const std::string a = made("a", "1.5"), b = made("b", "1.25");
    const Outcome merged = run_plumb({"sweep", "merge", a, b});
    CHECK(merged.code == 1);
    CHECK_THAT(merged.out, contains_text("same run, two results"));
    CHECK(run_plumb({"sweep", "merge", a}).code == 2);
}
