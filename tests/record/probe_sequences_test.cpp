// What is measured is a set of sequences, however many of them a pass holds.
#include "catch.h"
#include "check/toy_stack.h"
#include "record/measures.h"
#include "record/parameters.h"
#include "record/probes.h"
#include "support/near.h"
#include "support/tiny_trainer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

struct Probed {
    std::vector<DepthRecord> records;
    MatrixSummary matrix;
};

// Of six sequences.
Probed probe_six(const std::string& mixer, long batch) {
    TrainConfig train = tiny_train();
    train.batch = batch;
    TinyTrainer t = tiny_trainer(mixer, train);
    perturb(t.params(), 0.02, 3);
    Model<float>& model = t.trainer->model();
    DepthProbe<float> probe(model.mixer(), 2);
    t.trainer->probe(t.ctx, 6, probe, [&](Index tokens) { probe.begin_pass(tokens); });
    Probed out{probe.records(), probe.matrix()};
    for (DepthRecord& r : out.records)
        add_parameter_figures<float>(model.params(), model.layout(), model.weights_at(r.depth), {},
                                     r);
    return out;
}

}  // namespace

TEST_CASE("probes measure the same sequences for every batch", "[record]") {
    for (const char* mixer : {"standard", "attnres", "mhc"}) {
        const Probed one = probe_six(mixer, 6);
        for (const long batch : {1, 2, 4, 16}) {
            const Probed many = probe_six(mixer, batch);
            for (const Measure* m : measures_of(MeasurePlace::depth)) {
                if (!m->field) continue;
                std::vector<double> a, b;
                for (std::size_t l = 0; l < one.records.size(); ++l) {
                    INFO(mixer << " batch " << batch << ": " << m->key << " at " << l);
                    const auto x = one.records[l].*m->field, y = many.records[l].*m->field;
                    CHECK(x.has_value() == y.has_value());
                    a.push_back(x.value_or(0)), b.push_back(y.value_or(0));
                }
                INFO(mixer << " batch " << batch << ": " << m->key);
                CHECK(largest_difference(b, a) <= 1e-4);
            }
            CHECK(largest_difference(many.matrix.share, one.matrix.share) <= 1e-5);
            CHECK(largest_difference(many.matrix.mean, one.matrix.mean) <= 1e-5);
        }
    }
}
