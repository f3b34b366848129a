// A run that was copied or moved, and whose data are elsewhere: no command may advise to prepare a
// text in their place.
#include "support/check_message.h"

namespace fs = std::filesystem;
using namespace plumb;
using namespace plumb::test;

namespace {

struct MovedRun {
    TempFolder temp;
    std::string data = temp / "data", moved = temp / "moved", run = temp / "run";

    MovedRun() {
        prepare(data, "abc cab bca acb\n");
        REQUIRE(run_plumb({"train", "data.path=" + data, "model.layers=1", "model.width=16",
                           "model.context=16", "train.steps=2", "--threads", "1", "--out", run})
                    .code == 0);
        fs::rename(data, moved);
    }
    void prepare(const std::string& out, const std::string& line) const {
        std::string text;
        for (int i = 0; i < 60; ++i) text += line;
        spill(temp / "text.txt", text);
        REQUIRE(
            run_plumb({"data", "prepare", temp / "text.txt", "--out", out, "--tokenizer", "char"})
                .code == 0);
    }
    void forget_text() const { fs::remove_all(fs::path(run) / "data"); }  // as in schema 1
};

void check_advice(const std::vector<std::string>& args, const std::string& command) {
    const Outcome o = run_plumb(args);
    check_message(o, kInputOutput, {"are not in data.path=", command});
    CHECK_THAT(o.out, !contains_text("prepare"));
}

}  // namespace

TEST_CASE("eval of a run whose data are elsewhere takes them with --data", "[cli]") {
    const MovedRun m;
    const std::string with_data = "plumb eval " + m.run + " --data DIR";
    check_advice({"eval", m.run}, with_data);
    check_message(run_plumb({"eval", m.run, "--data", m.moved}), 0, {"standard"});
    check_message(run_plumb({"generate", m.run, "--prompt", "ab", "--tokens", "2"}), 0, {"ab"});
    check_message(run_plumb({"generate", m.run, "--prompt", "ab", "--data", m.moved}), 0, {"ab"});
    m.forget_text();
    check_advice({"eval", m.run}, with_data);
    check_advice({"generate", m.run, "--prompt", "ab"}, "plumb generate " + m.run + " --data DIR");
    check_message(run_plumb({"eval", m.run, "--data", m.moved}), 0, {"standard"});
    const Outcome text = run_plumb({"generate", m.run, "--prompt", "ab", "--data", m.moved});
    check_message(text, 0, {"ab"});
    // A folder that is there and not whole is no better.
    fs::create_directory(m.data);
    check_advice({"eval", m.run}, with_data);
    // What a run without a text of its own cannot vouch for it does not take.
    m.prepare(m.temp / "other", "xyz zxy yzx xzy\n");
    const Outcome other = run_plumb({"generate", m.run, "--data", m.temp / "other"});
    check_message(other, kInputOutput, {"--data DIR"});
}

TEST_CASE("a run goes on with its data where they are now", "[cli]") {
    const MovedRun m;
    spill(fs::path(m.run) / "STATUS", "interrupted\n");
    const std::vector<std::string> resume{"train", "--out", m.run, "--resume", "auto"};
    check_advice(resume, "plumb train --out " + m.run + " --resume auto data.path=DIR");
    std::vector<std::string> found = resume;
    found.push_back("data.path=" + m.moved);
    check_message(run_plumb(found), 0, {"status: done"});
}
