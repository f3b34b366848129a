#include "record/tensorboard.h"

#include "catch.h"
#include "mixers/layout.h"
#include "record/measures.h"
#include "support/run_program.h"

#include <cstring>
#include <set>

using namespace plumb;
using namespace plumb::test;

namespace {

// The tags of an event file, found by their place in Event{summary = 5 {value = 1 {tag = 1}}}.
std::set<std::string> tags(const std::string& file) {
    std::set<std::string> out;
    for (std::size_t at = 0; at < file.size();) {
        std::uint64_t n = 0;
        std::memcpy(&n, &file.at(at), sizeof n);
        const std::string body = file.substr(at + 12, n);
        at += 16 + n;
        std::size_t i = 9 + 1;  // wall time; key of the step
        const auto varint = [&] {
            std::size_t x = 0;
            for (int shift = 0;; shift += 7) {
                const auto byte = static_cast<unsigned char>(body.at(i++));
                x |= static_cast<std::size_t>(byte & 0x7f) << shift;
                if (byte < 0x80) return x;
            }
        };
        if (body.at(9) != 0x10) continue;  // the version
        varint();
        for (int message = 0; message < 2; ++message) ++i, varint();
        ++i;
        const std::size_t length = varint();
        out.insert(body.substr(i, length));
    }
    return out;
}

// Every measure of every depth.
std::vector<DepthRecord> records_of(int sublayers) {
    std::vector<DepthRecord> out;
    for (int l = 0; l <= sublayers + 1; ++l) {
        DepthRecord& r = out.emplace_back();
        r.depth = l, r.site = Layout(sublayers).name(l);
        r.kind = l == 0 ? "embed" : l > sublayers ? "output" : l % 2 == 1 ? "attn" : "mlp";
        for (const Measure* m : measures_of(MeasurePlace::depth))
            if (m->field) r.*m->field = 0.5 + l;
        r.gradients.histogram[3] = 7, r.gradients.log_min = -10.4, r.gradients.log_max = -10.1;
    }
    return out;
}

std::set<std::string> written_tags(int sublayers, bool all) {
    const TempFolder folder;
    EventFile file(folder.path());
    write_probe(file, 5, records_of(sublayers), all);
    file.flush();
    return tags(slurp(file.path()));
}

}  // namespace

TEST_CASE("TensorBoard gets some forty charts, or all, with tags that say what they are") {
    const std::set<std::string> few = written_tags(24, false), tiny = written_tags(2, false);
    // With train/loss, val/loss, val/bpb, lr, grad_norm, tok_per_s.
    CHECK(few.size() + 6 <= 45);
    CHECK(few.contains("write_share/attn/01_layer.0.attn"));
    CHECK(few.contains("dout_rms/mlp/24_layer.11.mlp"));
    CHECK(few.contains("gradient_log10/mlp/24_layer.11.mlp"));
    CHECK(few.contains("probe/dout_log_slope"));
    CHECK_FALSE(few.contains("probe/read_growth"));
    for (const std::string& tag : few) CHECK(tag.find("read_rms") == std::string::npos);
    CHECK(tiny.size() < few.size());
    std::size_t fields = 0;
    for (const Measure* m : measures_of(MeasurePlace::depth)) fields += m->field != nullptr;
    CHECK(written_tags(24, true).size() >= 26 * (fields + 1));
}

TEST_CASE("record.tensorboard_all writes every depth of a run") {
    const TempFolder folder;
    std::size_t n[2];
    for (const bool all : {false, true}) {
        const auto out = folder / (all ? "all" : "few");
        const Outcome o = run_plumb({"train", "data.task=markov", "model.layers=6", "model.width=8",
                                     "model.heads=1", "model.context=8", "train.batch=2",
                                     "train.steps=1", "train.warmup=1", "record.probe_every=1",
                                     fmt::format("record.tensorboard_all={}", all), "--threads",
                                     "1", "--out", out});
        INFO(o.out);
        REQUIRE(o.code == 0);
        for (const auto& file : std::filesystem::directory_iterator(out))
            if (file.path().filename().string().starts_with("events.out"))
                n[all] = tags(slurp(file.path())).size();
    }
    CHECK(n[0] < 60);
    CHECK(n[1] > 200);
}
