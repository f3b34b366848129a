// What interventions make of the loss, against PyTorch (tests/fixtures/interventions.json).
#pragma once

#include "catch.h"
#include "check/compare.h"
#include "check/oracle_fixture.h"
#include "model/interventions.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>

namespace plumb::test {

inline Interventions of_case(const nlohmann::json& words, const Layout& layout) {
    Interventions what(layout);
    for (const auto& swap : words.value("swap", nlohmann::json::array())) add_swap(what, swap);
    for (const auto& gain : words.value("gain", nlohmann::json::array())) add_gain(what, gain);
    if (words.contains("drop")) add_drop(what, words["drop"]);
    if (words.contains("mask")) add_mask(what, words["mask"]);
    return what;
}

// Worst relative error of a loss, of every fixture and case.
template <class Real>
double worst_against_oracle(Device device) {
    const auto stored = nlohmann::json::parse(std::ifstream("tests/fixtures/interventions.json"));
    double worst = 0;
    for (const auto& [name, losses] : stored["losses"].items()) {
        const auto model = fixture_model<Real>(
            SafetensorsFile::open("tests/fixtures/" + name + ".safetensors"), device);
        for (std::size_t k = 0; k < losses.size(); ++k) {
            const Interventions what = of_case(stored["cases"][k], model->layout());
            model->intervene(&what);
            const double want = losses[k],
                         error = std::abs(model->forward({device, 1}) - want) / want;
            INFO(name << " " << stored["cases"][k].dump() << " " << error);
            CHECK(error <= 1e4 * std::numeric_limits<Real>::epsilon());
            worst = worse(worst, error);
        }
    }
    return worst;
}

}  // namespace plumb::test
