// Runs of every optimizer: they go on where they were, from older checkpoints too.
#include "catch.h"
#include "formats/safetensors.h"
#include "ops/muon.h"
#include "run/run.h"
#include "support/run_files.h"
#include "train/muon.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

TEST_CASE("every optimizer resumes to the bytes of an unbroken run", "[run]") {
    const TempFolder temp;
    for (const OptimizerInfo& info : optimizers()) {
        INFO(info.name);
        const fs::path whole = temp / (info.name + "-whole"),
                       broken = temp / (info.name + "-broken");
        const std::vector<std::string> settings{"train.optimizer=" + info.name, "mixer=attnres",
                                                "train.checkpoint_every=10"};
        REQUIRE(run_plumb(tiny_run(whole, settings)).code == 0);
        REQUIRE(run_plumb(tiny_run(broken, settings)).code == 0);
        REQUIRE(fs::remove_all(checkpoint_of(broken, 20)) > 0);
        spill(broken / "STATUS", "running\n");
        // Settings that are not typed are those of the run.
        const Outcome resumed =
            run_plumb({"train", "--out", broken, "--resume", "must", "--threads", "1"});
        INFO(resumed.out);
        REQUIRE(resumed.code == 0);
        CHECK(content(checkpoint_of(broken, 20)) == content(checkpoint_of(whole, 20)));

        // With none of its numbers, it would not have been the same.
        spill(broken / "STATUS", "running\n");
        REQUIRE(fs::remove_all(checkpoint_of(broken, 20)) > 0);
        const fs::path file = checkpoint_of(broken, 10) / "optimizer.safetensors";
        const std::string bytes = slurp(file);
        std::uint64_t header = 0;
        std::memcpy(&header, bytes.data(), 8);
        spill(file, bytes.substr(0, 8 + header) + std::string(bytes.size() - 8 - header, '\0'));
        sign(checkpoint_of(broken, 10));
        REQUIRE(run_plumb({"train", "--out", broken, "--resume", "must", "--threads", "1"}).code ==
                0);
        CHECK(content(checkpoint_of(broken, 20)) != content(checkpoint_of(whole, 20)));
    }
}

TEST_CASE("an option of muon is refused without it", "[run]") {
    const TempFolder temp;
    const Outcome o = run_plumb(tiny_run(temp / "run", {"train.muon_lr=0.02"}));
    CHECK(o.code == 2);
    CHECK_THAT(o.out, contains_text("train.muon_lr is an option of muon, but train.optimizer is "
                                    "'adamw'"));
    CHECK(run_plumb(tiny_run(temp / "run", {"train.muon_lr=0.02", "train.optimizer=muon"})).code ==
          0);
}

TEST_CASE("what muon multiplies counts as FLOPs of a token", "[run]") {
    const std::vector<std::string> settings{"data.task=markov", "model.width=32", "model.heads=2",
                                            "train.accumulate=2"};
    auto with = settings;
    with.emplace_back("train.optimizer=muon");
    const RunPlan adamw = plan_run(load_config("", settings).config, {}),
                  muon = plan_run(load_config("", with).config, {});
    double flops = 0;
    for (const ParamSpec& s : muon.trainer->model().params().specs())
        if (is_matrix_of_body(s))
            for (const Index rows : matrix_rows(s)) flops += muon_flops(rows, s.shape.extent(1));
    CHECK(flops > 0);
    CHECK(muon_flops(3, 2) == 5 * (2 * 2 * 3 * 2 + 2 * 2 * 2 * 2 + 2 * 3 * 2 * 2));
    CHECK(muon.flops_per_token - adamw.flops_per_token ==
          Approx(flops / static_cast<double>(muon.trainer->tokens_per_step())));
}
