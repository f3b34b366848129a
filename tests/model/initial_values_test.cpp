// Where every mixer parameter starts, against a list made without this code (scripts/oracle).
#include "catch.h"
#include "config/config.h"
#include "core/json.h"
#include "core/text.h"
#include "model/transformer.h"

#include <fstream>

using namespace plumb;

namespace {

// Constants and lists by their numbers, random starts by the distribution that is declared.
void check_start(ParamStore<double>& params, const ParamSpec& spec, const nlohmann::json& want) {
    std::vector<Index> shape;
    for (int i = 0; i < spec.shape.rank(); ++i) shape.push_back(spec.shape.extent(i));
    CHECK(shape == want.at("shape").get<std::vector<Index>>());
    for (const auto& [key, kind] :
         {std::pair{"normal", Init::Kind::normal}, {"uniform", Init::Kind::uniform}})
        if (want.contains(key)) {
            CHECK(spec.init.kind == kind);
            CHECK(spec.init.scale == Approx(want[key].get<double>()).epsilon(1e-14));
            return;
        }
    const View<double> is = params.value(params.find(spec.name));
    const std::vector<double> values =
        want.contains("values")
            ? want["values"].get<std::vector<double>>()
            : std::vector<double>(static_cast<std::size_t>(is.count()), want.at("constant"));
    REQUIRE(std::ssize(values) == is.count());
    for (Index i = 0; i < is.count(); ++i) {
        INFO("number " << i);
        CHECK(std::abs(is.data[i] - values[static_cast<std::size_t>(i)]) <= 1e-14);
    }
}

}  // namespace

TEST_CASE("every mixer parameter starts where the oracle's list says", "[mixers][oracle]") {
    const auto cases = nlohmann::json::parse(std::ifstream("tests/fixtures/initial_values.json"));
    REQUIRE(cases.size() >= 30);
    for (const auto& stored : cases) {
        const auto overrides = stored["config"].get<std::vector<std::string>>();
        INFO(fmt::format("{}", fmt::join(overrides, " ")));
        const Config config = load_config("", overrides).config;
        Transformer<double> model({config.model, config.mixer, 7, 2, 1});
        model.allocate(1);
        auto& params = model.params();
        std::size_t n = 0;
        for (const ParamSpec& spec : params.specs()) {
            if (spec.group != Group::mixer) continue;
            INFO(spec.name);
            REQUIRE(stored["parameters"].contains(spec.name));
            check_start(params, spec, stored["parameters"][spec.name]);
            ++n;
        }
        CHECK(n == stored["parameters"].size());
    }
}
