#include "core/arena.h"

#include "catch.h"

#include <cmath>
#include <cstdint>

using namespace plumb;

#ifdef __SANITIZE_ADDRESS__
static constexpr std::size_t kGap = Plan::kAlign;  // behind every tensor, arena.cpp
#else
static constexpr std::size_t kGap = 0;
#endif

TEST_CASE("tensors of an arena are aligned, apart and zero", "[core]") {
    Plan plan;
    const TensorId a = plan.declare<float>("a", {{'N', 3}}, Lifetime::saved);
    const TensorId b = plan.declare<double>("b", {{'N', 5}, {'C', 7}}, Lifetime::scratch);
    const TensorId c = plan.declare<std::int32_t>("c", {{'N', 1}}, Lifetime::saved);
    CHECK_THROWS_AS(plan.declare<float>("a", {{'N', 1}}, Lifetime::saved), InternalError);
    CHECK(plan.bytes(Lifetime::saved) == 16);
    CHECK(plan.bytes(Lifetime::scratch) == 280);
    CHECK(plan.total_bytes() == 128 + 384 + 128 + 3 * kGap);
    Arena arena(plan);
    const View<float> va = arena.view<float>(a);
    const View<double> vb = arena.view<double>(b);
    for (const void* p : {static_cast<const void*>(va.data), static_cast<const void*>(vb.data)})
        CHECK(reinterpret_cast<std::uintptr_t>(p) % Plan::kAlign == 0);
    CHECK(reinterpret_cast<std::byte*>(vb.data) - reinterpret_cast<std::byte*>(va.data) ==
          128 + kGap);
    CHECK_THROWS_WITH(arena.view<double>(a), contains_text("another type"));
    CHECK(va.data[2] == 0);
    CHECK(arena.view<std::int32_t>(c).data[0] == 0);

    va.data[0] = 1;
    arena.poison();  // scratch alone
    CHECK(va.data[0] == 1);
    for (Index i = 0; i < 35; ++i) CHECK(std::isnan(vb.data[i]));
}

TEST_CASE("a shape is its extents", "[core]") {
    const Shape s{{'N', 512}, {'C', 128}};
    CHECK(s.text() == "(N=512, C=128)");
    CHECK(s.count() == 65536);
    CHECK(s == Shape{{'X', 512}, {'Y', 128}});
    CHECK(!(s == Shape{{'N', 65536}}));
    CHECK_THROWS_AS((Shape{{'A', 1}, {'B', 1}, {'C', 1}, {'D', 1}, {'E', 1}}), InternalError);
}
