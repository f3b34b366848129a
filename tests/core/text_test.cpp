#include "core/text.h"

#include "catch.h"

using namespace plumb;

TEST_CASE("text helpers", "[core]") {
    CHECK(nearest("atnres", {"standard", "attnres", "hyper"}) == "attnres");
    CHECK(nearest("", {"abc", "d"}) == "d");
    CHECK(nearest("x", {}) == "");
    CHECK(thousands(0) == "0");
    CHECK(thousands(999) == "999");
    CHECK(thousands(1234567) == "1,234,567");
    CHECK(thousands(-1000) == "-1,000");
    CHECK(human_bytes(12) == "12 B");
    CHECK(human_bytes(1536) == "1.5 KiB");
    CHECK(human_bytes(3.0 * (1 << 30)) == "3.0 GiB");
    CHECK(human_seconds(59.4) == "59s");
    CHECK(human_seconds(75) == "1m15s");
    CHECK(human_seconds(7260) == "2h01m");
}
