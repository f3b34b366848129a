#include "core/params.h"

#include "catch.h"

#include <cmath>
#include <cstdint>

using namespace plumb;

TEST_CASE("slices are aligned, padding is zero, names are unique", "[core]") {
    ParamStore<float> store;
    const Param<float> a =
        store.declare({.name = "a", .shape = {{'C', 3}}, .init = Init::constant(2)});
    const Param<float> b = store.declare({.name = "b",
                                          .shape = {{'V', 2}, {'C', 5}},
                                          .init = Init::normal(1),
                                          .group = Group::mixer});
    const ParamSpec twice{.name = "a", .shape = {{'C', 1}}, .init = {}};
    CHECK_THROWS_AS(store.declare(twice), InternalError);
    const ParamSpec part{.name = "p", .shape = {{'O', 5}, {'I', 2}}, .init = {}, .stacked = {2, 2}};
    CHECK_THROWS_WITH(store.declare(part), contains_text("not all rows of p"));
    store.allocate(1);
    const ParamSpec late{.name = "c", .shape = {{'C', 1}}, .init = {}};
    CHECK_THROWS_AS(store.declare(late), InternalError);
    CHECK(store.specs()[1].offset % 16 == 0);  // 64 bytes
    CHECK(store.flat_size() == 32);
    CHECK(store.n_params() == 13);
    CHECK(store.n_params(Group::mixer) == 10);
    CHECK(store.value(a).data[2] == 2);
    CHECK(store.values()[3] == 0);
    CHECK(store.value(b).shape == Shape{{'V', 2}, {'C', 5}});
    store.grad(b).data[0] = 1;
    store.zero_grad();
    CHECK(store.grad(b).data[0] == 0);
    CHECK(store.find("b").index == b.id.index);
    CHECK_THROWS_WITH(store.find("bb"), contains_text("no parameter 'bb'"));
}

TEST_CASE("initial values depend on seed and name alone", "[core]") {
    ParamStore<double> alone, among, other_seed;
    const auto weight = [](ParamStore<double>& store) {
        return store.declare({.name = "weight", .shape = {{'C', 1000}}, .init = Init::normal(0.5)});
    };
    const ParamId id = weight(alone);
    among.declare({.name = "first", .shape = {{'C', 9}}, .init = Init::uniform(0.1)});
    const ParamId later = weight(among);
    weight(other_seed);
    alone.allocate(7);
    among.allocate(7);
    other_seed.allocate(8);
    double square = 0;
    for (Index i = 0; i < 1000; ++i) {
        CHECK(alone.value(id).data[i] == among.value(later).data[i]);
        square += alone.value(id).data[i] * alone.value(id).data[i] / 1000;
    }
    CHECK(std::abs(square - 0.25) <= 0.06);
    CHECK(alone.value(id).data[0] != other_seed.value(id).data[0]);
    for (Index i = 0; i < 9; ++i) CHECK(std::abs(among.value({0}).data[i]) <= 0.1);
}

TEST_CASE("a second user of the same parameters gets the same slices", "[core]") {
    ParamStore<float> store;
    const auto spec = [](const char* name, Index n) {
        return ParamSpec{.name = name, .shape = {{'C', n}}, .init = Init::constant(1)};
    };
    store.declare(spec("a", 3));
    const Param<float> b = store.declare(spec("b", 5));
    store.share();
    const Param<float> again = store.declare(spec("b", 5));
    CHECK((again.id.index == b.id.index && again.offset == b.offset && again.origin == b.origin));
    CHECK(store.specs().size() == 2);
    CHECK_THROWS_WITH(store.declare(spec("c", 5)), contains_text("no parameter 'c'"));
    CHECK_THROWS_WITH(store.declare(spec("a", 4)), contains_text("another shape"));
}

TEST_CASE("a list of initial values must fit", "[core]") {
    ParamStore<float> store;
    store.declare({.name = "alpha", .shape = {{'S', 3}}, .init = Init::values({0, 1})});
    CHECK_THROWS_WITH(store.allocate(1), contains_text("alpha"));
}
