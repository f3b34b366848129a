// Muon against PyTorch, against its polynomial on singular values, and with any threads.
#include "ops/muon.h"

#include "catch.h"
#include "support/random.h"

#include <Eigen/SVD>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>

using namespace plumb;
using namespace plumb::test;

namespace {

// Singular values of a matrix, descending.
template <class Real>
std::vector<double> singular_values(const View<Real>& x) {
    Eigen::MatrixXd m(x.extent(0), x.extent(1));
    for (Index i = 0; i < x.extent(0); ++i)
        for (Index j = 0; j < x.extent(1); ++j) m(i, j) = static_cast<double>(x.row(i)[j]);
    const Eigen::VectorXd s = Eigen::JacobiSVD<Eigen::MatrixXd>(m).singularValues();
    return {s.data(), s.data() + s.size()};
}

// What five iterations make of a singular value.
double settled(double s) {
    for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * std::pow(s, 5);
    return s;
}

constexpr std::array<std::array<Index, 2>, 5> kMatrices{
    {{16, 16}, {48, 16}, {16, 40}, {1, 9}, {70, 33}}};

struct Settings {
    double lr, momentum, weight_decay, grad_scale;
};

template <class Real>
struct Step {
    Array<Real> w, grad, momentum, scratch;

    Step(Index rows, Index columns)
        : w({{'R', rows}, {'C', columns}}, "w"),
          grad({{'R', rows}, {'C', columns}}, "grad"),
          momentum({{'R', rows}, {'C', columns}}, "momentum"),
          scratch({{'S', muon_scratch(rows, columns)}}, NAN) {}  // what was there has no say

    void make(const Settings& s, int threads = 1) {
        double square = NAN;
        muon<Real>({Device::cpu, threads},
                   {s.lr, s.momentum, s.weight_decay, host_scalar(s.grad_scale)}, w, grad, momentum,
                   scratch, host_scalar(square));
    }
};

}  // namespace

TEST_CASE("muon: steps as PyTorch makes them in float64", "[ops][oracle]") {
    const auto stored = nlohmann::json::parse(std::ifstream("tests/fixtures/muon.json"));
    const auto& set = stored["settings"];
    const Settings s{set["lr"], set["momentum"], set["weight_decay"], set["grad_scale"]};
    REQUIRE(stored["cases"].size() == 6);
    for (const auto& one : stored["cases"]) {
        Step<double> ours(one["rows"], one["columns"]);
        INFO(ours.w.view().shape.text());
        ours.w.values() = one["weight"].get<std::vector<double>>();
        std::fill(ours.momentum.values().begin(), ours.momentum.values().end(), 0.0);
        for (const auto& step : one["steps"]) {
            ours.grad.values() = step["gradient"].get<std::vector<double>>();
            ours.make(s);
            auto w = step["weight"].get<std::vector<double>>(),
                 momentum = step["momentum"].get<std::vector<double>>();
            CHECK(relative_error(ours.w.span(), std::span(w)) <= 1e-10);
            CHECK(relative_error(ours.momentum.span(), std::span(momentum)) <= 1e-14);
        }
    }
}

TEST_CASE("newton_schulz moves singular values by its polynomial into its band", "[ops]") {
    for (const auto& [rows, columns] : kMatrices) {
        INFO(rows << " x " << columns);
        Array<double> x({{'R', rows}, {'C', columns}}, "x"),
            scratch({{'S', muon_scratch(rows, columns)}}, "scratch");
        std::vector<double> before = singular_values(x.view());
        double norm = 0;
        for (const double s : before) norm += s * s;
        std::vector<double> want;
        for (const double s : before) want.push_back(settled(s / (std::sqrt(norm) + 1e-7)));
        std::sort(want.begin(), want.end(), std::greater<>());
        double square = NAN;
        const std::vector<double> got =
            singular_values(newton_schulz<double>({}, x, scratch, host_scalar(square)));
        REQUIRE(got.size() == want.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(got[i] == Approx(want[i]).epsilon(1e-9));
            if (before[i] > 0.002 * std::sqrt(norm)) CHECK((got[i] > 0.68 && got[i] < 1.21));
        }
    }
}

TEST_CASE("muon moves numbers by 0.2 lr in the mean square, whatever the gradient's size",
          "[ops]") {
    for (const auto& [rows, columns] : kMatrices)
        for (const double size : {1e-3, 1.0, 1e3}) {
            INFO(rows << " x " << columns << ", gradients of " << size);
            Step<float> step(rows, columns);
            const std::vector<float> before = step.w.values();
            std::fill(step.momentum.values().begin(), step.momentum.values().end(), 0.0f);
            step.make({0.01, 0.95, 0.0, size});
            double square = 0;
            for (std::size_t i = 0; i < before.size(); ++i)
                square += std::pow(static_cast<double>(step.w.values()[i] - before[i]), 2);
            const double rms = std::sqrt(square / static_cast<double>(before.size()));
            CHECK(rms > 0.2 * 0.68 * 0.01);
            CHECK(rms < 0.2 * 1.21 * 0.01);
        }
}

TEST_CASE("muon without gradient and momentum decays, and does nothing else", "[ops]") {
    Step<double> step(6, 4);
    const std::vector<double> before = step.w.values();
    std::fill(step.grad.values().begin(), step.grad.values().end(), 0.0);
    std::fill(step.momentum.values().begin(), step.momentum.values().end(), 0.0);
    step.make({0.5, 0.95, 0.1, 1.0});
    for (std::size_t i = 0; i < before.size(); ++i)
        CHECK(step.w.values()[i] == (1 - 0.5 * 0.1) * before[i]);
}

TEST_CASE("muon in float is muon in double, rounded", "[ops]") {
    for (const auto& [rows, columns] : kMatrices) {
        INFO(rows << " x " << columns);
        Step<float> single(rows, columns);
        Step<double> wide(rows, columns);
        for (int i = 0; i < 3; ++i) {
            single.make({0.01, 0.95, 0.1, 0.5});
            wide.make({0.01, 0.95, 0.1, 0.5});
        }
        CHECK(relative_error(single.w.span(), wide.w.span()) <= 1e-5);
        CHECK(relative_error(single.momentum.span(), wide.momentum.span()) <= 1e-6);
    }
}

TEMPLATE_TEST_CASE("muon gives the same bits for any number of threads", "[ops]", float, double) {
    for (const auto& [rows, columns] : {std::array<Index, 2>{384, 128}, {130, 517}, {200, 200}}) {
        INFO(rows << " x " << columns);
        const auto after = [&, rows = rows, columns = columns](int threads) {
            Step<TestType> step(rows, columns);
            for (int i = 0; i < 2; ++i) step.make({0.01, 0.95, 0.1, 0.5}, threads);
            return step.w.values();
        };
        const std::vector<TestType> one = after(1);
        for (const int threads : {2, 3}) {
            const std::vector<TestType> more = after(threads);
            CHECK(std::memcmp(one.data(), more.data(), one.size() * sizeof(TestType)) == 0);
        }
    }
}
