#include "catch.h"
#include "support/check_message.h"
#include "support/environment.h"

using namespace plumb::test;

TEST_CASE("doctor says what was found and that GEMM is right", "[cli]") {
    const Outcome o = run_plumb({"doctor", "--json", "--threads", "1"});
    INFO(o.out);
    REQUIRE(o.code == 0);
    const auto j = nlohmann::json::parse(o.out);
    for (const char* key : {"plumb", "build", "cpu", "isa", "gemm", "attention", "cuda"})
        CHECK(j.at(key).is_string());
    CHECK(j.at("threads") == 1);
    CHECK(j.at("gemm_error").get<double>() <= 1e-5);
    CHECK(j.at("gflops").size() == 4);
    for (const auto& rate : j.at("gflops")) CHECK(rate.get<double>() > 0);
}

TEST_CASE("PLUMB_ATTENTION chooses the kernel of attention, or is refused", "[cli]") {
    {
        const Environment generic("PLUMB_ATTENTION", "generic");
        const Outcome o = run_plumb({"doctor", "--json", "--threads", "1"});
        REQUIRE(o.code == 0);
        CHECK(nlohmann::json::parse(o.out).at("attention") == "generic");
    }
    const Environment wrong("PLUMB_ATTENTION", "fastest");
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"doctor"}, {"train", "data.task=copy", "--dry-run"}})
        check_message(run_plumb(command), kUsage,
                      {"PLUMB_ATTENTION=fastest", "no such kernel", "generic", "amx_emulated"});
}
