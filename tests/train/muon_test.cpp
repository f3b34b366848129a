// Muon in the trainer: what it takes, how fast, and that the rest is AdamW's.
#include "train/muon.h"

#include "catch.h"
#include "ops/muon.h"
#include "support/tiny_trainer.h"

#include <cstring>
#include <set>

using namespace plumb;
using namespace plumb::test;

namespace {

TrainConfig muon_train(double rate = 0) {
    TrainConfig train = tiny_train();
    train.optimizer = "muon";
    train.options.set("muon_lr", rate);
    return train;
}

// The numbers of a parameter.
std::vector<float> of(const std::vector<float>& flat, const ParamSpec& s) {
    const auto begin = flat.begin() + s.offset;
    return {begin, begin + s.shape.count()};
}

// A norm or a head of its own: every kind of parameter that a model can have.
ModelConfig every_kind() {
    ModelConfig model = tiny_model_config();
    model.tied_head = false, model.qk_norm = true, model.kv_heads = 1;
    return model;
}

}  // namespace

TEST_CASE("muon takes the matrices of attention and MLP, and AdamW all else", "[train]") {
    std::set<std::string> taken;
    for (const char* layer : {"0", "1"})
        for (const char* matrix : {"attn.qkv", "attn.out", "mlp.up", "mlp.down"})
            taken.insert(fmt::format("layer.{}.{}.weight", layer, matrix));
    for (const MixerInfo& info : mixers()) {
        INFO(info.name);
        TinyTrainer t = tiny_trainer(info.name, muon_train(), every_kind());
        std::set<std::string> want, kept;
        for (const ParamSpec& s : t.params().specs()) {
            CHECK(is_matrix_of_body(s) == taken.contains(s.name));
            if (taken.contains(s.name))
                want.insert("momentum." + s.name);
            else
                want.insert({"m." + s.name, "v." + s.name});
        }
        for (const StateTensor& s : t.trainer->optimizer().state().tensors()) kept.insert(s.name);
        CHECK(kept == want);
    }
    // One number for each of a matrix where AdamW keeps two.
    TinyTrainer muon = tiny_trainer("standard", muon_train()), adamw = tiny_trainer("standard");
    double matrices = 0;
    for (const ParamSpec& s : muon.params().specs())
        if (is_matrix_of_body(s)) matrices += 4.0 * static_cast<double>(s.shape.count());
    CHECK(adamw.trainer->optimizer().state().bytes() - muon.trainer->optimizer().state().bytes() ==
          matrices);
}

TEST_CASE("queries, keys and values, gate and value are matrices of their own", "[train]") {
    for (const char* mlp : {"swiglu", "gelu"}) {
        ModelConfig model = every_kind();
        model.mlp = mlp, model.mlp_hidden = 24;
        TinyTrainer t = tiny_trainer("standard", muon_train(), model);
        for (const ParamSpec& s : t.params().specs()) {
            INFO(s.name);
            std::vector<Index> want;
            if (s.name.ends_with("attn.qkv.weight")) want = {16, 8, 8};  // of 2, 1 and 1 heads
            if (s.name.ends_with("attn.out.weight")) want = {16};
            if (s.name.ends_with("mlp.up.weight"))
                want = std::string(mlp) == "swiglu" ? std::vector<Index>{24, 24}
                                                    : std::vector<Index>{24};
            if (s.name.ends_with("mlp.down.weight")) want = {16};
            if (is_matrix_of_body(s)) CHECK(matrix_rows(s) == want);
        }
    }
}

TEST_CASE("a step of muon is ops/muon on the matrices and AdamW's step on the rest", "[train]") {
    for (const double rate : {0.0, 0.02})
        for (const double clip : {0.0, 0.1})
            for (const char* mixer : {"standard", "mhc"}) {
                INFO(mixer << ", rate " << rate << ", clip " << clip);
                TrainConfig train = muon_train(rate), other = tiny_train();
                train.clip = other.clip = clip, train.weight_decay = other.weight_decay = 3;
                TinyTrainer muon = tiny_trainer(mixer, train, every_kind()),
                            adamw = tiny_trainer(mixer, other, every_kind());
                const std::vector<float> start = muon.params().values();
                const StepResult r = muon.step(0);
                adamw.step(0);
                CHECK(muon.params().grads() == adamw.params().grads());
                const double share = (rate > 0 ? rate : train.lr) / train.lr;
                const double scale = clip > 0 && r.grad_norm > clip ? clip / r.grad_norm : 1.0;
                double square = 0;
                const MuonStep s{share * r.lr, 0.95, 3, host_scalar(scale)};
                for (const ParamSpec& spec : muon.params().specs()) {
                    INFO(spec.name);
                    std::vector<float> want = of(adamw.params().values(), spec);
                    if (is_matrix_of_body(spec)) {
                        want = of(start, spec);
                        std::vector<float> g = of(muon.params().grads(), spec), b(g.size());
                        const Index columns = spec.shape.extent(1);
                        Index begin = 0;
                        for (const Index rows : matrix_rows(spec)) {
                            const Shape shape{{'O', rows}, {'I', columns}};
                            const Index n = muon_scratch(rows, columns);
                            std::vector<float> scratch(static_cast<std::size_t>(n));
                            plumb::muon<float>({}, s, {want.data() + begin, shape},
                                               View<const float>{g.data() + begin, shape},
                                               {b.data() + begin, shape},
                                               {scratch.data(), {{'S', n}}}, host_scalar(square));
                            begin += rows * columns;
                        }
                        CHECK(want != of(adamw.params().values(), spec));
                    }
                    CHECK(of(muon.params().values(), spec) == want);
                }
            }
}

TEST_CASE("muon's rate follows the schedule, and its momentum is a setting", "[train]") {
    const auto after = [](const TrainConfig& train) {
        TinyTrainer t = tiny_trainer("standard", train);
        for (long s = 0; s < 3; ++s) t.step(s);
        return t.params().values();
    };
    const auto same = after(muon_train());
    CHECK(after(muon_train(tiny_train().lr)) == same);
    CHECK(after(muon_train(2 * tiny_train().lr)) != same);
    TrainConfig memory = muon_train();
    memory.options.set("muon_momentum", 0.5);
    CHECK(after(memory) != same);
    // At the last step of a cosine to nothing, nothing moves.
    TrainConfig last = muon_train(0.02);
    last.min_lr_fraction = 0;
    TinyTrainer t = tiny_trainer("standard", last);
    t.step(0);
    const std::vector<float> before = t.params().values();
    t.step(last.steps - 1);
    CHECK(t.params().values() == before);
}

TEST_CASE("every optimizer makes the same bits with any number of threads", "[train]") {
    ModelConfig model = tiny_model_config();
    model.layers = 1, model.width = 96;  // products that are cut among threads
    for (const OptimizerInfo& info : optimizers()) {
        TrainConfig train = tiny_train();
        train.optimizer = info.name;
        const auto after = [&](int threads) {
            TinyTrainer t = tiny_trainer(mixer_config("attnres"), train, model, nullptr, threads);
            for (long s = 0; s < 3; ++s) t.step(s);
            set_up_threads({});
            return t.params().values();
        };
        const std::vector<float> one = after(1);
        for (const int threads : {2, 3}) {
            INFO(info.name << ", " << threads << " threads");
            const std::vector<float> more = after(threads);
            CHECK(std::memcmp(one.data(), more.data(), 4 * one.size()) == 0);
        }
    }
}
