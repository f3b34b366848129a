#include "core/flush_to_zero.h"

#include "catch.h"
#include "core/context.h"
#include "support/tiny_trainer.h"

#include <omp.h>

#include <cmath>
#include <limits>

using namespace plumb;
using namespace plumb::test;

namespace {

// Whether half of the smallest normal number is 0 on the calling thread.
bool flushes() {
    volatile float smallest = std::numeric_limits<float>::min();
    const volatile float half = smallest * 0.5F;
    return half == 0;
}

// Asks while the model computes.
class Watch final : public Recorder<float> {
public:
    void tensor(const Context&, Quantity, int, View<const float>) override {
        ++asked, flushed += flushes();
    }
    int asked = 0, flushed = 0;
};

}  // namespace

#if defined(__SSE2__)

TEST_CASE("flush-to-zero lasts as long as its scope", "[core]") {
    REQUIRE_FALSE(flushes());
    {
        const FlushToZero outer;
        CHECK(flushes());
        { const FlushToZero inner; }
        CHECK(flushes());
    }
    CHECK_FALSE(flushes());
}

TEST_CASE("flush-to-zero is on where numbers are computed and nowhere else", "[core]") {
    TinyTrainer t = tiny_trainer("attnres");
    t.ctx.threads = 3;
    set_up_threads(t.ctx);
    CHECK_FALSE(flushes());
    std::array<bool, 3> on{};
#pragma omp parallel num_threads(3)
    on[static_cast<std::size_t>(omp_get_thread_num())] = flushes();
    CHECK(on == std::array{false, true, true});

    Watch watch;
    t.trainer->probe(t.ctx, 4, watch);
    CHECK(watch.asked > 10);
    CHECK(watch.flushed == watch.asked);
    CHECK_FALSE(flushes());

    t.step(0);
    CHECK_FALSE(flushes());
    set_up_threads({});
}

TEST_CASE("flush-to-zero: the optimizer leaves no moment too small to be normal", "[core]") {
    TinyTrainer t = tiny_trainer("attnres");
    // No gradient: its query is 0.
    const View<float> m = t.trainer->optimizer().state().view("m.output.mixer.key_gain");
    std::fill_n(m.data, m.count(), std::numeric_limits<float>::min());
    t.step(0);
    for (Index i = 0; i < m.count(); ++i) CHECK(std::fpclassify(m.data[i]) == FP_ZERO);
}

#endif
