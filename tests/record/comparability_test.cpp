// A pre-norm cannot see the size of what it reads: zero-query attnres and highway with uniform
// gates start as the standard network with other sizes in their books. A measure that calls itself
// comparable must not notice; one that is marked must, or the mark is wrong.
#include "catch.h"
#include "check/tiny_model.h"
#include "matrix/analysis.h"
#include "ops/reduce.h"
#include "record/measures.h"
#include "record/parameters.h"
#include "record/probes.h"
#include "support/every_mixer.h"
#include "support/near.h"

#include <limits>
#include <map>

using namespace plumb;
using namespace plumb::test;

namespace {

using Figures = std::map<std::string, std::vector<double>>;  // all numbers of each measure

ModelConfig three_blocks() {
    ModelConfig m = tiny_config(1e-30);
    m.layers = 3;
    return m;
}

// One step of gradient descent between the passes, for the update ratios.
template <class Real>
std::vector<Real> descend(ParamStore<Real>& params) {
    std::vector<Real> before = params.values();
    axpy(Real(-0.01), params.flat_grads().data, params.flat_values().data, params.flat_size());
    return before;
}

void add_numbers(const nlohmann::ordered_json& value, std::vector<double>& out) {
    if (value.is_array())
        for (const auto& x : value) add_numbers(x, out);
    else
        out.push_back(value.get<double>());
}

void add_summaries(const std::vector<DepthRecord>& records, const MatrixSummary& matrix,
                   Figures& out) {
    Eigen::MatrixXd m(matrix.rows, matrix.rows);
    for (Index e = 0; e < m.size(); ++e)
        m(e / matrix.rows, e % matrix.rows) = matrix.mean[static_cast<std::size_t>(e)];
    const MatrixFigures f = analyse(m);
    out["row_sum"] = {f.row_sums.begin(), f.row_sums.end()};
    out["gain_max_row"] = {f.max_row_gain};
    out["gain_spectral"] = {f.spectral_gain};
    for (const Measure* summary : measures_of(MeasurePlace::summary)) {
        if (!summary->summarise) continue;
        std::vector<double> by_depth;
        for (const Measure* m2 : measures_of(MeasurePlace::depth))
            if (m2->key == summary->of)
                for (const DepthRecord& r : records)
                    by_depth.push_back(
                        (r.*m2->field).value_or(std::numeric_limits<double>::quiet_NaN()));
        out[summary->key] = {summary->summarise(by_depth)};
    }
}

template <class Real>
Figures figures_at_start(const MixerConfig& config) {
    const auto model = tiny_model<Real>(config, 1, three_blocks());
    DepthProbe<Real> probe(model->mixer(), 3);
    model->forward(Context{}, &probe);
    model->backward(Context{}, Real(1), &probe);
    auto records = probe.records();
    const MatrixSummary matrix = probe.matrix();
    const std::vector<Real> before = descend(model->params());
    Figures out;
    for (DepthRecord& r : records) {
        add_parameter_figures<Real>(model->params(), model->layout(), model->weights_at(r.depth),
                                    before, r);
        const auto line = to_json(0, r);
        for (const Measure* m : measures_of(MeasurePlace::depth))
            if (line.contains(m->key)) add_numbers(line[m->key], out[m->key]);
    }
    for (const Measure* m : measures_of(MeasurePlace::matrix)) out[m->key] = matrix.*m->tensor;
    add_summaries(records, matrix, out);
    return out;
}

std::vector<MixerConfig> standard_in_disguise() {
    std::vector<MixerConfig> out{mixer_config("attnres")};
    for (const char* size : {"block_size=1", "block_size=2", "block_size=3", "block_size=4",
                             "block_size=5", "n_blocks=1"})  // 4, 5 of 6: the last is short
        out.push_back(mixer_config("attnres_block", {size}));
    out.push_back(mixer_config("highway", {"gate_bias=uniform"}));
    for (const char* weights : {"dynamic=true", "dynamic=false"})
        out.push_back(mixer_config("mudd", {weights}));
    return out;
}

// A histogram is made of counts: a gradient at the edge of a bin may fall on its other side.
bool counts(const Measure& m) { return m.key == "pgrad_hist"; }

template <class Real>
void check_measures(double limit) {
    const Figures standard = figures_at_start<Real>(mixer_config("standard"));
    std::map<std::string, double> most;  // difference of a marked measure, over mixers
    for (const MixerConfig& config : standard_in_disguise()) {
        const Figures other = figures_at_start<Real>(config);
        for (const Measure& m : measures()) {
            if (m.place > MeasurePlace::summary) continue;  // not of the walk
            INFO(config.name << " block_size=" << config.integer("block_size") << ": " << m.key);
            if (m.comparable) {
                REQUIRE(standard.contains(m.key));
                REQUIRE(other.contains(m.key));
                CHECK(largest_difference(other.at(m.key), standard.at(m.key)) <=
                      (counts(m) && sizeof(Real) == 4 ? 0.1 : limit));
            } else {
                const bool both = standard.contains(m.key) && other.contains(m.key);
                const double d =
                    both ? largest_difference(other.at(m.key), standard.at(m.key)) : 1.0;
                const auto [at, fresh] = most.emplace(m.key, d);
                if (!fresh) at->second = std::max(at->second, d);
            }
        }
    }
    for (const auto& [key, d] : most) {
        if (key == "std") continue;  // zero for all: at the start no M depends on the token
        INFO(key);
        CHECK(d > 1e-2);
    }
}

}  // namespace

// The error of a sum of k roundings grows with sqrt(k) to k of them; the figures of a model this
// small are made of about 1000 (12 channels, 20 tokens, 6 sublayers), most of them averaged away.
TEST_CASE("comparable measures do not see how a network is written down", "[record]") {
    check_measures<double>(1e3 * std::numeric_limits<double>::epsilon());
    check_measures<float>(1e3 * std::numeric_limits<float>::epsilon());
}
