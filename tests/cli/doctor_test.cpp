#include "catch.h"
#include "support/run_program.h"

using namespace plumb::test;

TEST_CASE("doctor says what was found and that GEMM is right", "[cli]") {
    const Outcome o = run_plumb({"doctor", "--json", "--threads", "1"});
    INFO(o.out);
    REQUIRE(o.code == 0);
    const auto j = nlohmann::json::parse(o.out);
    for (const char* key : {"plumb", "build", "cpu", "isa", "gemm", "cuda"})
        CHECK(j.at(key).is_string());
    CHECK(j.at("threads") == 1);
    CHECK(j.at("gemm_error").get<double>() <= 1e-5);
    CHECK(j.at("gflops").size() == 4);
    for (const auto& rate : j.at("gflops")) CHECK(rate.get<double>() > 0);
}
