#include "core/frame.h"

#include "catch.h"
#include "core/context.h"
#include "core/gpu.h"

#include <cmath>
#include <cstdint>

using namespace plumb;

#ifdef __SANITIZE_ADDRESS__
static constexpr std::size_t kGap = Plan::kAlign;  // behind every tensor, plan.cpp
#else
static constexpr std::size_t kGap = 0;
#endif

TEST_CASE("tensors of a frame are aligned, apart and zero", "[core]") {
    Plan plan;
    const Tensor<float> a = plan.saved<float>("a", {{'N', 3}});
    const Tensor<double> b = plan.scratch<double>("b", {{'N', 5}, {'C', 7}});
    const Tensor<std::int32_t> c = plan.saved<std::int32_t>("c", {{'N', 1}});
    CHECK_THROWS_AS(plan.saved<float>("a", {{'N', 1}}), InternalError);
    CHECK(plan.bytes(Lifetime::saved) == 16);
    CHECK(plan.bytes(Lifetime::scratch) == 280);
    CHECK(plan.total_bytes() == 128 + 384 + 128 + 3 * kGap);
    Frame frame(plan);
    const View<float> va = frame.view(a);
    const View<double> vb = frame.view(b);
    CHECK(vb.shape == Shape{{'N', 5}, {'C', 7}});
    for (const void* p : {static_cast<const void*>(va.data), static_cast<const void*>(vb.data)})
        CHECK(reinterpret_cast<std::uintptr_t>(p) % Plan::kAlign == 0);
    CHECK(reinterpret_cast<std::byte*>(vb.data) - reinterpret_cast<std::byte*>(va.data) ==
          128 + kGap);
    CHECK(va.data[2] == 0);
    CHECK(frame.view(c).data[0] == 0);

    va.data[0] = 1;
    frame.poison();  // scratch alone
    CHECK(va.data[0] == 1);
    for (Index i = 0; i < 35; ++i) CHECK(std::isnan(vb.data[i]));
}

TEST_CASE("what the CPU's passes work in is declared in a plan for the CPU alone", "[core]") {
    Plan here, there(Device::cuda);
    for (Plan* plan : {&here, &there}) plan->scratch<float>("a", {{'N', 3}});
    CHECK(here.cpu_scratch<float>("b", {{'N', 3}}));
    CHECK_FALSE(there.cpu_scratch<float>("b", {{'N', 3}}));
    CHECK(there.total_bytes() < here.total_bytes());
    CHECK(Frame(here).device() == Device::cpu);
    if (std::string(gpu::version()).empty()) CHECK_THROWS_AS(Frame(there), UsageError);
}

TEST_CASE("scratch of one name is shared by all who declare it alike", "[core]") {
    Plan plan;
    plan.set_prefix("step.");
    const Tensor<float> one = plan.shared_scratch<float>("act", {{'N', 3}, {'F', 2}});
    plan.saved<float>("between", {{'N', 1}});
    const Tensor<float> other = plan.shared_scratch<float>("act", {{'N', 3}, {'F', 2}});
    CHECK(plan.tensors().size() == 2);
    CHECK(plan.tensors().front().lifetime == Lifetime::scratch);
    const Frame frame(plan);
    CHECK(frame.view(one).data == frame.view(other).data);
    CHECK(frame.view(other).shape == Shape{{'N', 3}, {'F', 2}});

    for (const Shape& shape : {Shape{{'N', 2}, {'F', 3}}, Shape{{'N', 3}}})
        CHECK_THROWS_WITH(plan.shared_scratch<float>("act", shape), contains_text("step.act"));
    CHECK_THROWS_AS(plan.shared_scratch<double>("act", {{'N', 3}, {'F', 2}}), InternalError);
    CHECK_THROWS_AS(plan.scratch<float>("act", {{'N', 3}, {'F', 2}}), InternalError);
    CHECK_THROWS_AS(plan.shared_scratch<float>("between", {{'N', 1}}), InternalError);
    plan.set_prefix("prefill.");  // another part's is its own
    CHECK(plan.shared_scratch<float>("act", {{'N', 3}, {'F', 2}}));
    CHECK(plan.tensors().size() == 3);
    CHECK_FALSE(Plan(Device::cuda).shared_cpu_scratch<float>("act", {{'N', 3}}));
}

TEST_CASE("frames of one plan share handles and no memory", "[core]") {
    Plan plan;
    const Tensor<float> x = plan.saved<float>("x", {{'N', 3}});
    const FrameState<std::string> word = plan.state(std::string("first"));
    const Frame a(plan), b(plan);
    const Context in_a = Context{}.in(a), in_b = Context{}.in(b);
    in_a(x).data[1] = 5;
    in_a(word) = "changed";
    CHECK(in_b(x).data[1] == 0);
    CHECK(in_b(word) == "first");
    CHECK(in_a(x).data[1] == 5);
    CHECK(in_a(word) == "changed");
}

TEST_CASE("names of a part begin with its prefix", "[core]") {
    Plan plan;
    plan.saved<float>("x", {{'N', 1}});
    plan.set_prefix("step.");
    plan.saved<float>("x", {{'N', 1}});
    CHECK(plan.tensors().back().name == "step.x");
    CHECK_THROWS_WITH(plan.scratch<float>("x", {{'N', 1}}), contains_text("step.x"));
}

TEST_CASE("a frame refuses handles of another plan or store, and is empty for none", "[core]") {
    Plan plan, other;
    const Tensor<float> x = plan.saved<float>("x", {{'N', 3}});
    const FrameState<int> n = plan.state(0);
    const Tensor<float> foreign = other.saved<float>("x", {{'N', 3}});
    const FrameState<int> foreign_n = other.state(0);
    ParamStore<float> params, others;
    const auto w = params.declare({.name = "w", .shape = {{'C', 3}}, .init = Init::constant(2)});
    const auto foreign_w = others.declare({.name = "w", .shape = {{'C', 3}}, .init = {}});
    ParamStore<double> doubles;
    const auto wide = doubles.declare({.name = "w", .shape = {{'C', 3}}, .init = {}});
    CHECK_THROWS_AS(Frame(plan, params), InternalError);  // nothing is allocated yet
    params.allocate(1);
    const Frame frame(plan, params);
    const Context ctx = Context{}.in(frame);
    CHECK_THROWS_WITH(ctx(foreign), contains_text("another plan"));
    CHECK_THROWS_WITH(ctx(foreign_n), contains_text("another plan"));
    CHECK_THROWS_WITH(ctx.value(foreign_w), contains_text("another store"));
    CHECK_THROWS_WITH(ctx.grad(wide), contains_text("another store"));
    CHECK_THROWS_WITH(Context{}(x), contains_text("without a frame"));
    CHECK_THROWS_AS(Context{}(n), InternalError);
    CHECK_THROWS_AS(Context{}.in(Frame(plan)).value(w), InternalError);

    CHECK(ctx.value(w).data[2] == 2);
    CHECK(ctx.value(w).data == params.value(w).data);
    CHECK(ctx.grad(w).data == params.grad(w).data);
    CHECK(ctx.grad(w).shape == Shape{{'C', 3}});

    const Tensor<float> none;
    CHECK((x && !none && w && !Param<float>{}));
    CHECK(!ctx(none));
    CHECK(!ctx.value(Param<float>{}));
}

TEST_CASE("a shape is its extents", "[core]") {
    const Shape s{{'N', 512}, {'C', 128}};
    CHECK(s.text() == "(N=512, C=128)");
    CHECK(s.count() == 65536);
    CHECK(s == Shape{{'X', 512}, {'Y', 128}});
    CHECK(!(s == Shape{{'N', 65536}}));
    CHECK_THROWS_AS((Shape{{'A', 1}, {'B', 1}, {'C', 1}, {'D', 1}, {'E', 1}}), InternalError);
}
