// Losses and every gradient of the model, with every mixer, against an independent PyTorch float64
// implementation (scripts/oracle). Double must match to 1e-10; float to a multiple of its epsilon.
#include "catch.h"
#include "experiment/config.h"
#include "model/transformer.h"
#include "record/safetensors.h"
#include "support/compare.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <limits>

namespace fs = std::filesystem;
using namespace plumb;

namespace {

std::vector<fs::path> fixtures() {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator("tests/fixtures"))
        if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

template <class Real>
class FixtureModel {
public:
    explicit FixtureModel(const SafetensorsFile& file)
        : file_(file), model_(shape_of(file)) {
        model_.allocate(1);
        for (const ParamSpec& spec : model_.params().specs()) {
            const auto from = file.values<double>("param/" + spec.name);
            const auto to = model_.params().value(model_.params().find(spec.name));
            INFO(spec.name << " " << spec.shape.text());
            REQUIRE(static_cast<Index>(from.size()) == to.count());
            std::copy(from.begin(), from.end(), to.data);
        }
        std::copy_n(file.values<std::int64_t>("tokens").begin(), model_.tokens().count(),
                    model_.tokens().data);
        std::copy_n(file.values<std::int64_t>("targets").begin(), model_.targets().count(),
                    model_.targets().data);
    }

    double loss_error() {
        const double want = std::stod(file_.metadata().at("loss"));
        return std::abs(model_.forward(ctx_) - want) / std::abs(want);
    }

    // Worst error of a gradient tensor relative to its largest entry, after one backward pass.
    double gradient_error() {
        model_.params().zero_grad();
        model_.backward(ctx_);
        double worst = 0;
        std::size_t n_checked = 0;
        for (const ParamSpec& spec : model_.params().specs()) {
            const double error = test::relative_error(
                test::numbers(model_.params().grad(model_.params().find(spec.name))),
                file_.values<double>("grad/" + spec.name));
            if (!(error <= worst)) worst = error;
            ++n_checked;
        }
        std::size_t n_stored = 0;
        for (const std::string& name : file_.names()) n_stored += name.starts_with("grad/");
        REQUIRE(n_checked == n_stored);
        return worst;
    }

    double matrix_error() {
        const auto want = file_.values<double>("matrix");  // (L+1, N, L+1[, C])
        const Index rows = model_.sublayers() + 1, g = model_.mixer().matrix_channels();
        const Index n_tokens = model_.tokens().count();
        REQUIRE(static_cast<Index>(want.size()) == rows * n_tokens * rows * g);
        std::vector<Real> m(static_cast<std::size_t>(rows * rows * g));
        double worst = 0;
        for (Index n = 0; n < n_tokens; ++n) {
            model_.mixer().depth_matrix(n, {m.data(), {{'L', rows}, {'S', rows}, {'G', g}}});
            for (Index r = 0; r < rows; ++r) {
                const std::span<Real> row(m.data() + r * rows * g, static_cast<std::size_t>(rows * g));
                const double error = test::relative_error(
                    row, want.subspan(static_cast<std::size_t>((r * n_tokens + n) * rows * g),
                                      row.size()));
                if (!(error <= worst)) worst = error;
            }
        }
        return worst;
    }

private:
    static TransformerShape shape_of(const SafetensorsFile& file) {
        const auto overrides =
            nlohmann::json::parse(file.metadata().at("config")).get<std::vector<std::string>>();
        const Config c = load_config("", overrides).config;
        return {c.model, c.mixer, std::stol(file.metadata().at("vocab")),
                std::stol(file.metadata().at("batch")), 1};
    }

    const SafetensorsFile& file_;
    Context ctx_;
    Transformer<Real> model_;
};

}  // namespace

TEST_CASE("double matches the PyTorch oracle to 1e-10", "[oracle]") {
    REQUIRE(fixtures().size() >= 20);
    for (const fs::path& path : fixtures()) {
        INFO(path.filename().string());
        const SafetensorsFile file = SafetensorsFile::open(path);
        FixtureModel<double> model(file);
        CHECK(model.loss_error() <= 1e-12);
        CHECK(model.matrix_error() <= 1e-10);
        CHECK(model.gradient_error() <= 1e-10);
    }
}

TEST_CASE("float matches the PyTorch oracle to rounding", "[oracle]") {
    // A few hundred roundings feed each number; sums of mixed sign lose up to a factor of a few
    // hundred more in the smallest tensors (gate biases and scales, one number each).
    constexpr double kEps = std::numeric_limits<float>::epsilon();
    for (const fs::path& path : fixtures()) {
        INFO(path.filename().string());
        const SafetensorsFile file = SafetensorsFile::open(path);
        FixtureModel<float> model(file);
        CHECK(model.loss_error() <= 100 * kEps);
        CHECK(model.matrix_error() <= 1e3 * kEps);
        CHECK(model.gradient_error() <= 1e4 * kEps);
    }
}
