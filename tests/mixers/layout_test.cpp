#include "mixers/layout.h"

#include "catch.h"
#include "core/check.h"

using namespace plumb;

TEST_CASE("attention and MLP in turn", "[mixers]") {
    const Layout four(4);
    CHECK((four.sublayers() == 4 && four.blocks() == 2));
    const std::vector<std::string> names{"embed",        "layer.0.attn", "layer.0.mlp",
                                         "layer.1.attn", "layer.1.mlp",  "output"};
    for (int l = 0; l <= 5; ++l) CHECK(four.name(l) == names[static_cast<std::size_t>(l)]);
    CHECK((four.kind(0) == "embed" && four.kind(1) == "attn" && four.kind(4) == "mlp"));
    CHECK((four.kind(5) == "output" && four.block(4) == 1 && four.block(5) == 2));
    CHECK((four.begins_block(1) && four.begins_block(3)));
    CHECK((four.ends_block(2) && four.ends_block(4)));
    for (const int l : {0, 2, 4, 5, 6}) CHECK_FALSE(four.begins_block(l));
    for (const int l : {0, 1, 3, 5, 6}) CHECK_FALSE(four.ends_block(l));
    CHECK((four.end_of(0) == 0 && four.end_of(1) == 2 && four.end_of(2) == 4));
    CHECK_THROWS_AS(four.kind(6), std::out_of_range);
}

TEST_CASE("a last block of an attention alone is a block", "[mixers]") {
    const Layout five(5);
    CHECK((five.blocks() == 3 && five.block(5) == 2 && five.block(6) == 3));
    CHECK((five.begins_block(5) && five.ends_block(5) && five.end_of(3) == 5));
    CHECK(five.name(5) == "layer.2.attn");
}

TEST_CASE("of several of a kind in a block the later have a number", "[mixers]") {
    const Layout layout({"a", "b", "a", "a"}, 2);
    const std::vector<std::string> names{"layer.0.a", "layer.0.b", "layer.0.a2", "layer.0.a3",
                                         "layer.1.a", "layer.1.b", "layer.1.a2", "layer.1.a3"};
    for (int l = 1; l <= 8; ++l) CHECK(layout.name(l) == names[static_cast<std::size_t>(l - 1)]);
    CHECK((layout.kind(3) == "a" && layout.kind(4) == "a" && layout.kind(6) == "b"));
    CHECK_THROWS_AS(Layout({}, 2), InternalError);
}

TEST_CASE("a block of other kinds", "[mixers]") {
    const Layout layout({"a", "b", "c"}, 2);
    CHECK((layout.sublayers() == 6 && layout.blocks() == 2 && layout.end_of(1) == 3));
    CHECK((layout.name(4) == "layer.1.a" && layout.name(6) == "layer.1.c"));
    CHECK((layout.begins_block(4) && !layout.begins_block(5) && layout.ends_block(6)));
    CHECK_FALSE(layout.ends_block(5));
}
