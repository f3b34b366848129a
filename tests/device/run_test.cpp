// Runs on a device, as a user starts them.
#include "catch.h"
#include "support/run_files.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<std::string> device_run(const fs::path& out, const std::string& device,
                                    std::vector<std::string> more = {}) {
    std::vector<std::string> args{"train",
                                  "--out",
                                  out,
                                  "--device",
                                  device,
                                  "--threads",
                                  "1",
                                  "data.task=markov",
                                  "model.layers=2",
                                  "model.width=16",
                                  "model.heads=2",
                                  "model.context=8",
                                  "train.batch=2",
                                  "train.steps=6",
                                  "train.warmup=2",
                                  "train.log_every=1",
                                  "train.eval_every=3",
                                  "train.eval_sequences=2",
                                  "train.checkpoint_every=3",
                                  "record.probe_every=3",
                                  "record.probe_sequences=2"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

void run(const std::vector<std::string>& args) {
    const Outcome o = run_plumb(args);
    INFO(o.out);
    REQUIRE(o.code == 0);
}

// Takes the last checkpoint away, as if the run had been killed before it.
void forget_end(const fs::path& run) {
    REQUIRE(fs::remove_all(checkpoint_of(run, 6)) > 0);
    spill(run / "STATUS", "running\n");
}

void near(const nlohmann::json& a, const nlohmann::json& b, const std::string& key) {
    INFO(key);
    CHECK(a.at(key).get<double>() == Approx(b.at(key).get<double>()).epsilon(1e-4));
}

}  // namespace

TEST_CASE("a run on a device writes what one on the CPU writes", "[device][run]") {
    const TempFolder temp;
    const fs::path cpu = temp / "cpu", cuda = temp / "cuda";
    run(device_run(cpu, "cpu", {"mixer=attnres"}));
    run(device_run(cuda, "cuda", {"mixer=attnres"}));
    CHECK(read_json(cuda / "manifest.json").at("run").at("device") == "cuda");
    const auto metrics = lines_of(cuda / "metrics.jsonl"), wanted = lines_of(cpu / "metrics.jsonl");
    REQUIRE(metrics.size() == wanted.size());
    for (std::size_t i = 0; i < metrics.size(); ++i)
        for (const char* key : {"train_loss", "grad_norm"})
            if (wanted[i].contains(key)) near(metrics[i], wanted[i], key);
    // What probes saw by depth, and M.
    const auto depths = lines_of(cuda / "depth.jsonl"), by_cpu = lines_of(cpu / "depth.jsonl");
    REQUIRE(depths.size() == by_cpu.size());
    REQUIRE(depths.size() == 3 * 6);
    for (std::size_t i = 0; i < depths.size(); ++i)
        for (const char* key : {"out_rms", "read_rms", "dout_rms", "pgrad_norm", "write_share"})
            if (by_cpu[i].contains(key)) near(depths[i], by_cpu[i], key);
    CHECK(lines_of(cuda / "matrix.jsonl").size() == lines_of(cpu / "matrix.jsonl").size());
}

TEST_CASE("a run on a device resumes to the bytes of an unbroken one", "[device][run]") {
    const TempFolder temp;
    const fs::path whole = temp / "whole", broken = temp / "broken";
    run(device_run(whole, "cuda"));
    run(device_run(broken, "cuda"));
    forget_end(broken);
    run({"train", "--out", broken, "--resume", "must", "--device", "cuda", "--threads", "1"});
    CHECK(content(checkpoint_of(broken, 6)) == content(checkpoint_of(whole, 6)));
}

TEST_CASE("a checkpoint of one device goes on on another", "[device][run]") {
    const TempFolder temp;
    const fs::path whole = temp / "whole", turned = temp / "turned";
    run(device_run(whole, "cpu"));
    for (const std::string first : {"cpu", "cuda"}) {
        fs::remove_all(turned);
        run(device_run(turned, first));
        forget_end(turned);
        const std::string other = first == "cpu" ? "cuda" : "cpu";
        run({"train", "--out", turned, "--resume", "must", "--device", other, "--threads", "1"});
        near(read_json(turned / "summary.json"), read_json(whole / "summary.json"),
             "final_val_loss");
    }
}

TEST_CASE("a device that is none is refused in a line", "[device][run]") {
    const TempFolder temp;
    const Outcome o = run_plumb(device_run(temp / "run", "tpu"));
    CHECK(o.code == 2);
    CHECK_THAT(o.out, contains_text("--device tpu: cpu or cuda"));
}
